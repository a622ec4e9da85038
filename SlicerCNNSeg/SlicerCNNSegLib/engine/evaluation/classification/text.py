"""An evaluation of classifiers as short tables of plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...wording import elided, listed

OVERALL_ROWS = (
    ("accuracy", "accuracy"),
    ("balanced accuracy", "balanced_accuracy"),
    ("F1", "f1"),
    ("AUC", "auc"),
    ("PR-AUC", "pr_auc"),
    ("kappa, truth", "kappa"),
    ("kappa, reader", "kappa_reader"),
    ("kappa, reader and truth", "kappa_reader_truth"),
    ("ECE", "ece"),
    ("Brier", "brier"),
)
"""Heading and metric; what a table has no reader for is left out."""

CLASS_COLUMNS = (
    ("sensitivity", "sensitivity", True),
    ("specificity", "specificity", True),
    ("F1", "f1", False),
    ("AUC", "auc", True),
    ("PR-AUC", "pr_auc", False),
    ("ECE", "ece", False),
)
"""Heading, metric, and whether its confidence interval is shown."""

NAME_WIDTH = 24
COUNTS_LENGTH = 80
"""Characters for the numbers of cases of all classes."""

LISTED_CLASSES = 12
"""Rows and columns that a confusion matrix may have; larger ones are in the JSON file alone."""


def summary_text(evaluation: Mapping[str, Any]) -> str:
    """The numbers of one or two models, with 95 % confidence intervals.

    Parameters
    ----------
    evaluation:
        What ``evaluate_classification`` gave.
    """
    blocks = [_data_line(evaluation), _overall(evaluation)]
    for model in evaluation["models"]:
        blocks.append(_classes(model, titled=len(evaluation["models"]) > 1))
        if model["confusion_matrix"] and len(evaluation["data"]["classes"]) <= LISTED_CLASSES:
            blocks.append(_confusion(model["confusion_matrix"]))
    if evaluation["comparison"]:
        blocks.append(_tests(evaluation["comparison"]))
    if evaluation["warnings"]:
        blocks.append("\n".join(f"Warning: {text}" for text in evaluation["warnings"]))
    return "\n\n".join(blocks)


def number(value: float | None, ends: Sequence[float] | None = None, form: str = "{:.3f}") -> str:
    """``0.912 [0.880, 0.941]``, or a dash for None."""
    if value is None:
        return "-"
    return form.format(value) + (f" [{form.format(ends[0])}, {form.format(ends[1])}]" if ends else "")


def p_value(p: float) -> str:
    """``p = 0.031`` or ``p < 0.001``."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _data_line(evaluation: Mapping[str, Any]) -> str:
    data = evaluation["data"]
    counts = listed([f"{name} {count}" for name, count in data["cases_of_class"].items()], COUNTS_LENGTH)
    line = f"{data['cases']} cases ({counts})"
    if data["patients"] is not None:
        line += f" of {data['patients']} patients"
    if data["positive"]:
        line += f"; positive: {data['positive']}"
    if data["kind"] != "multi-class":
        line += f"; threshold {evaluation['settings']['threshold']:g}"
    return f"{line}.\nValues [95 % confidence interval]."


def _overall(evaluation: Mapping[str, Any]) -> str:
    """A column for each model, and one for their difference."""
    models, comparison = evaluation["models"], evaluation["comparison"]
    header = ["", *(elided(model["name"], NAME_WIDTH) for model in models), *(["difference"] if comparison else [])]
    rows = []
    for heading, metric in OVERALL_ROWS:
        if metric in models[0]["overall"]:
            entries = [model["overall"][metric] for model in models]
            cells = [number(entry["value"], entry["ci95"]) for entry in entries]
            if comparison and metric in comparison["overall"]:
                entry = comparison["overall"][metric]
                cells.append(number(entry["difference"], entry["ci95"], "{:+.3f}"))
            rows.append([heading, *cells])
    return _aligned(rows, header)


def _classes(model: Mapping[str, Any], *, titled: bool) -> str:
    """A row for each class against the rest."""
    rows = [
        [
            elided(name, NAME_WIDTH),
            *(
                number(entry[metric]["value"], entry[metric]["ci95"] if full else None)
                for _, metric, full in CLASS_COLUMNS
            ),
        ]
        for name, entry in model["classes"].items()
    ]
    title = model["name"] if titled else "class"
    return _aligned(rows, [elided(title, NAME_WIDTH), *(heading for heading, *_ in CLASS_COLUMNS)])


def _confusion(matrix: Mapping[str, Any]) -> str:
    names = [elided(name, NAME_WIDTH // 2) for name in matrix["classes"]]
    rows = [[name, *map(str, counts)] for name, counts in zip(names, matrix["counts"], strict=True)]
    return _aligned(rows, ["truth \\ decided", *names], right=True)


def _tests(comparison: Mapping[str, Any]) -> str:
    """The sentences of the tests."""
    lines = [f"{comparison['first']} less {comparison['second']}, two-sided:"]
    for name, test in comparison["auc_tests"].items():
        if test:
            lines.append(f"  AUC of {name}: {test['difference']:+.3f}, {p_value(test['p'])} ({test['method']})")
        else:
            lines.append(f"  AUC of {name}: no test, nothing varies")
    test = comparison["accuracy_test"]
    lines.append(
        f"  accuracy: {test['only_first_right']} cases right in the first alone, {test['only_second_right']} in the "
        f"second alone, {p_value(test['p'])} ({test['method']})"
    )
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]], header: Sequence[str], *, right: bool = False) -> str:
    """Columns under a ruled header; all but the first to the right when they are whole numbers."""
    rows = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = [
            text.rjust(width) if right else text.ljust(width) for text, width in zip(row[1:], widths[1:], strict=True)
        ]
        return "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()

    return "\n".join([line(header), "-" * sum(widths, 2 * (len(widths) - 1)), *map(line, rows)])
