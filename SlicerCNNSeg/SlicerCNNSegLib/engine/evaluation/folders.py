"""Compare predicted with reference labelmaps, case by case and label by label (heavy).

The result of ``evaluate_folders`` is plain data, ready for JSON; undefined values are None::

    settings   what was asked: paths, tolerance_mm, labels, seed
    versions   of CNNSeg, Python and the packages that compute
    cases      [{case, status, problem, reference, prediction, labels: {value: metrics}}]
    warnings   what a reader of the numbers must know
    summary    {cases: {status: number}, labels: {value: {name, outcomes, metrics}}, all_labels: {metrics}}

A case's ``status`` is ``compared``, ``missing`` (no prediction), ``unmatched`` (no reference) or
``failed`` (unreadable, or on another grid: nothing is resampled silently). A metric's summary holds
mean, median, sd, n, the confidence interval ci95 and the worst cases; it is over compared cases
only, so it is read together with the number of missing and failed ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CNNSegError, GeometryError, SettingsError
from ..files.labelmaps import read_labelmap
from ..files.segments import generic_label
from ..labels import Label
from ..progress import NoProgress, Progress, advance
from ..version import versions
from ..volume import Geometry
from .metrics import DEFAULT_TOLERANCE_MM, METRICS, check_tolerance, compare_labelmaps
from .pairs import Pair, pair_files
from .statistics import mean_interval

COMPARED, MISSING, UNMATCHED, FAILED = "compared", "missing", "unmatched", "failed"
OUTCOMES = ("found", "missed", "false_alarm", "absent")

GRID_TOLERANCE_VOXELS = 0.01
"""Two grids are the same when no corner lies further apart than this share of a voxel: file formats
round positions (NIfTI to float32), which moves corners by up to about 1e-3 voxel."""

WORST_CASES = 5
HIGHER_IS_BETTER = ("dice", "iou", "nsd")


def evaluate_folders(
    reference: str | Path,
    prediction: str | Path,
    *,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    labels: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare every predicted labelmap with its reference.

    Parameters
    ----------
    reference, prediction:
        A folder of labelmaps or one file, each; folders are paired by the files' stems.
    tolerance_mm:
        Tolerance of the normalised surface Dice.
    labels:
        Label values to compare; None takes all that occur.
    seed:
        Of the bootstrap.
    progress:
        Told how far it is; asked whether to stop.

    Returns
    -------
    dict
        See the top of this file. A case that fails is in it with its problem and stops no other.

    Raises
    ------
    FileReadError
        A path does not exist or holds no labelmap.
    InputError
        No prediction has a reference.
    SettingsError
        The tolerance is not positive, or a label is not 1 or more.
    Cancelled
        The user asked to stop.
    """
    check_tolerance(tolerance_mm)
    if labels is not None and (not labels or min(labels) < 1):
        raise SettingsError(f"Expected label values of 1 or more, got {list(labels)}; leave labels out to compare all.")
    progress = progress or NoProgress()
    pairs = pair_files(Path(reference), Path(prediction))
    names = _Names()
    cases = []
    for position, pair in enumerate(pairs):
        advance(progress, position / len(pairs), f"Comparing {pair.case}")
        cases.append(_evaluate_case(pair, tolerance_mm, labels, names))
    advance(progress, 1.0, "Summarising")
    return {
        "settings": {
            "reference": str(reference),
            "prediction": str(prediction),
            "tolerance_mm": float(tolerance_mm),
            "labels": None if labels is None else sorted({int(value) for value in labels}),
            "seed": int(seed),
        },
        "versions": versions("monai", "numpy", "scipy"),
        "cases": cases,
        "warnings": names.conflicts,
        "summary": _summary(cases, names, seed),
    }


def merge_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One evaluation of the cases of several, as of the folds of a cross-validation; settings are the first's.

    Parameters
    ----------
    reports:
        What ``evaluate_folders`` gave; at least one.

    Raises
    ------
    SettingsError
        A case is in two of them, or they were made with different tolerances.
    """
    cases = [case for report in reports for case in report["cases"]]
    [(name, most)] = Counter(case["case"] for case in cases).most_common(1)
    if most > 1:
        raise SettingsError(f"Expected every case in one evaluation only, got {name} in {most}.")
    if len({report["settings"]["tolerance_mm"] for report in reports}) > 1:
        raise SettingsError("Expected evaluations with the same tolerance_mm; evaluate again with one of them.")
    names = _Names()
    for report in reports:
        for value, label in report["summary"]["labels"].items():
            names.learn([replace(generic_label(int(value)), name=label["name"])], "another evaluation")
    first = reports[0]
    warnings = [warning for report in reports for warning in report["warnings"]]
    return first | {
        "cases": cases,
        "warnings": list(dict.fromkeys([*warnings, *names.conflicts])),
        "summary": _summary(cases, names, first["settings"]["seed"]),
    }


class _Names:
    """The labels' names, as the files tell them; differing names for one value are a warning."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self.conflicts: list[str] = []

    def learn(self, labels: Iterable[Label], case: str) -> None:
        for label in labels:
            if label == generic_label(label.value):
                continue
            known = self._names.setdefault(label.value, label.name)
            if known != label.name:
                warning = f"Label {label.value} is {known!r} in some files, but {label.name!r} in others"
                if not any(conflict.startswith(warning) for conflict in self.conflicts):
                    self.conflicts.append(f"{warning} (first in case {case}); values were compared, not names.")

    def __getitem__(self, value: int) -> str:
        return self._names.get(value, generic_label(value).name)


def _evaluate_case(pair: Pair, tolerance_mm: float, labels: Sequence[int] | None, names: _Names) -> dict[str, Any]:
    """One entry of ``cases``."""
    entry: dict[str, Any] = {
        "case": pair.case,
        "status": COMPARED,
        "problem": "",
        "reference": str(pair.reference or ""),
        "prediction": str(pair.prediction or ""),
        "labels": {},
    }
    if pair.prediction is None:
        return {**entry, "status": MISSING, "problem": "There is no prediction for this reference."}
    if pair.reference is None:
        return {**entry, "status": UNMATCHED, "problem": "There is no reference for this prediction."}
    try:
        predicted, truth = read_labelmap(pair.prediction), read_labelmap(pair.reference)
        _check_same_grid(truth.geometry, predicted.geometry)
        compared = compare_labelmaps(
            truth.labelmap, predicted.labelmap, truth.geometry, labels=labels, tolerance_mm=tolerance_mm
        )
    except CNNSegError as error:
        return {**entry, "status": FAILED, "problem": str(error)}
    for file in (predicted, truth):
        names.learn(file.labels, pair.case)
    return {**entry, "labels": {str(value): metrics.to_json() for value, metrics in compared.items()}}


def _check_same_grid(reference: Geometry, prediction: Geometry) -> None:
    """Raise GeometryError unless both grids are the same."""
    if not prediction.matches(reference, GRID_TOLERANCE_VOXELS * float(reference.spacing_mm.min())):
        raise GeometryError(
            f"The prediction lies on another grid ({_describe(prediction)}) than the reference "
            f"({_describe(reference)}); resample it onto the reference's grid first."
        )


def _describe(geometry: Geometry) -> str:
    size = " x ".join(str(n) for n in geometry.size_ijk)
    axes = ", ".join("[" + " ".join(f"{x:.4g}" for x in column) + "]" for column in geometry.ijk_to_ras[:3].T)
    return f"{size} voxels; axes i, j, k and origin in RAS mm: {axes}"


def _summary(cases: list[dict[str, Any]], names: _Names, seed: int) -> dict[str, Any]:
    """Statistics per label and over labels."""
    compared = {case["case"]: case["labels"] for case in cases if case["status"] == COMPARED}
    values = sorted({int(value) for labels in compared.values() for value in labels})
    per_label = {}
    for value in values:
        found = {case: labels[str(value)] for case, labels in compared.items() if str(value) in labels}
        outcomes = Counter(metrics["outcome"] for metrics in found.values())
        outcomes["absent"] += len(compared) - len(found)  # not listed in a case where neither has it
        per_label[str(value)] = {
            "name": names[value],
            "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
            "metrics": {
                metric: _statistics(metric, {case: metrics[metric] for case, metrics in found.items()}, seed)
                for metric in METRICS
            },
        }
    # first the mean over each case's labels: cases are independent of each other, a case's labels are not
    overall = {metric: {case: _label_mean(labels, metric) for case, labels in compared.items()} for metric in METRICS}
    statuses = Counter(case["status"] for case in cases)
    return {
        "cases": {status: statuses[status] for status in (COMPARED, MISSING, FAILED, UNMATCHED)},
        "labels": per_label,
        "all_labels": {"metrics": {metric: _statistics(metric, by_case, seed) for metric, by_case in overall.items()}},
    }


def _label_mean(labels: dict[str, dict[str, Any]], metric: str) -> float | None:
    """Mean of a metric over the labels of one case for which it is defined."""
    values = [metrics[metric] for metrics in labels.values() if metrics[metric] is not None]
    return float(np.mean(values)) if values else None


def _statistics(metric: str, by_case: dict[str, float | None], seed: int) -> dict[str, Any]:
    """Mean, median, sd, n, confidence interval and worst cases of one metric, over cases that have it."""
    defined = {case: value for case, value in by_case.items() if value is not None}
    values = np.array(list(defined.values()))
    interval = mean_interval(values, seed=seed)
    worst = sorted(defined, key=lambda case: defined[case] if metric in HIGHER_IS_BETTER else -abs(defined[case]))
    return {
        "n": len(values),
        "mean": float(values.mean()) if len(values) else None,
        "median": float(np.median(values)) if len(values) else None,
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "ci95": list(interval) if interval else None,
        "worst": [{"case": case, "value": defined[case]} for case in worst[:WORST_CASES]],
    }
