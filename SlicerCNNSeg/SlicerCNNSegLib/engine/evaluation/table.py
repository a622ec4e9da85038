"""The evaluation's summary as a short table of plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wording import elided

COLUMNS = (
    ("Dice", "dice", "{:.3f}", True),
    ("IoU", "iou", "{:.3f}", False),
    ("NSD", "nsd", "{:.3f}", True),
    ("HD95 mm", "hd95_mm", "{:.2f}", False),
    ("surface mm", "surface_distance_mm", "{:.2f}", False),
    ("vol. error mm3", "volume_error_mm3", "{:+.0f}", False),
    ("vol. error", "volume_error_relative", "{:+.1%}", False),
)
"""Heading, metric, how its mean is written, and whether its confidence interval is shown."""

NAME_WIDTH = 28
LISTED_PROBLEMS = 5


def summary_table(evaluation: Mapping[str, Any]) -> str:
    """The means per label, with 95 % confidence intervals, and the cases that were not compared.

    Parameters
    ----------
    evaluation:
        What ``evaluate_folders`` gave.
    """
    summary = evaluation["summary"]
    blocks = [(entry["name"], entry["metrics"]) for entry in summary["labels"].values()]
    if len(blocks) != 1:
        blocks.append(("All labels", summary["all_labels"]["metrics"]))
    rows = [["", "n", *(heading for heading, *_ in COLUMNS)]]
    for name, metrics in blocks:
        cells = [_cell(metrics[metric], form, with_interval) for _, metric, form, with_interval in COLUMNS]
        rows.append([elided(name, NAME_WIDTH), str(metrics["dice"]["n"]), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * sum(widths, 2 * (len(widths) - 1)))
    tolerance_mm = evaluation["settings"]["tolerance_mm"]
    cases = ", ".join(f"{number} {status}" for status, number in summary["cases"].items())
    lines += [
        "",
        f"Means over compared cases [95 % confidence interval]; NSD at {tolerance_mm:g} mm.",
        f"Cases: {cases}.",
    ]
    return "\n".join([*lines, *_missed_lines(summary), *_problem_lines(evaluation)])


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    """The name to the left, numbers to the right."""
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _cell(statistics: Mapping[str, Any], form: str, with_interval: bool) -> str:
    if statistics["mean"] is None:
        return "-"
    text = form.format(statistics["mean"])
    if with_interval and statistics["ci95"]:
        low, high = (form.format(end) for end in statistics["ci95"])
        text += f" [{low}, {high}]"
    return text


def _missed_lines(summary: Mapping[str, Any]) -> list[str]:
    """What the distances leave out: labels found on one side only."""
    lines = []
    for entry in summary["labels"].values():
        missed, false_alarms = entry["outcomes"]["missed"], entry["outcomes"]["false_alarm"]
        if missed or false_alarms:
            lines.append(
                f"{entry['name']}: missed in {missed}, false alarm in {false_alarms} cases (no distances there)."
            )
    return lines


def _problem_lines(evaluation: Mapping[str, Any]) -> list[str]:
    troubled = [case for case in evaluation["cases"] if case["problem"]]
    lines = [f"{case['case']}: {case['problem']}" for case in troubled[:LISTED_PROBLEMS]]
    if len(troubled) > LISTED_PROBLEMS:
        lines.append(f"... and {len(troubled) - LISTED_PROBLEMS} more; all are in the JSON file.")
    return [*lines, *(f"Warning: {text}" for text in evaluation["warnings"])]
