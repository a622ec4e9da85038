"""The evaluation of detections, put together (heavy).

The result of ``evaluate_detection`` is plain data, ready for JSON; undefined values are None::

    settings    what was asked: the four tables, seed, resamples
    protocol    its name and limits
    versions    of CNNSeg, Python and the packages that compute
    warnings    what a reader of the numbers must know
    counts      scans, nodules, found, missed, excluded_findings and the marks by what became of them
    froc        cpm {value, ci95}; operating_points [{false_positives_per_scan, sensitivity, ci95}];
                curve and band: lists of numbers to draw; draws: how many of the bootstrap held a nodule
    boxes       average precision by IoU threshold and their mean; None when marks have no sizes
    scan_level  average precision and AUROC over scans
    missed      the nodules that no mark hit: [{series, center_mm, diameter_mm}]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, SettingsError
from ...progress import NoProgress, Progress, SubProgress, advance
from ...version import versions
from .boxes import box_average_precision
from .curves import BAND_RATES, RATES, RESAMPLES, FrocEvents, bootstrap_sensitivities, percentile_interval
from .luna import MAX_MARKS, UNKNOWN_DIAMETER_MM, Judgement, Verdict, judge
from .scan_level import scan_level_measures
from .tables import NO_POINTS, Points, read_findings, read_marks, read_series


def evaluate_detection(
    annotations: str | Path,
    series: str | Path,
    predictions: str | Path,
    *,
    excluded: str | Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare predicted marks with annotated nodules.

    Parameters
    ----------
    annotations, excluded:
        Tables of nodules and of findings that count neither for nor against (LUNA16's
        ``annotations.csv`` and ``annotations_excluded.csv``).
    series:
        The scans that were searched, those without nodules or marks included.
    predictions:
        The marks.
    resamples, seed:
        Draws of the bootstrap, and its seed.
    progress:
        Told how far it is; asked whether to stop.

    Returns
    -------
    dict
        See the top of this file.

    Raises
    ------
    FileReadError
        A table cannot be read.
    InputError
        A table's content is wrong, no nodule lies in the listed scans, or all marks lie elsewhere.
    SettingsError
        There are no draws, or the seed is negative.
    Cancelled
        The user asked to stop.
    """
    if resamples < 1 or seed < 0:
        raise SettingsError(
            f"Expected at least 1 draw and a seed of 0 or more, got {resamples} and {seed}; the usual are 1000 and 0."
        )
    progress = progress or NoProgress()
    advance(progress, 0.0, "Reading tables")
    uids = read_series(series)
    included, marks = read_findings(annotations), read_marks(predictions)
    others = NO_POINTS if excluded is None else read_findings(excluded)
    advance(progress, 0.1, "Judging marks")
    judgement = judge(uids, included, others, marks)
    _check_listed(judgement, annotations, series, predictions)
    froc = _froc(judgement, SubProgress(progress, 0.2, 0.7), resamples, seed)
    advance(progress, 0.7, "Comparing boxes")
    boxes = box_average_precision(judgement, included, marks)
    scan_level = scan_level_measures(judgement)
    advance(progress, 1.0, "Summarising")
    return {
        "settings": {
            "annotations": str(annotations),
            "excluded": None if excluded is None else str(excluded),
            "series": str(series),
            "predictions": str(predictions),
            "resamples": int(resamples),
            "seed": int(seed),
        },
        "protocol": {
            "name": "LUNA16",
            "marks_per_scan": MAX_MARKS,
            "unknown_diameter_mm": UNKNOWN_DIAMETER_MM,
            "false_positives_per_scan": list(RATES),
        },
        "versions": versions("monai", "numpy"),
        "warnings": _warnings(judgement, included, uids, marks),
        "counts": _counts(judgement, others, uids),
        "froc": froc,
        "boxes": boxes,
        "scan_level": scan_level,
        "missed": _missed(judgement, included),
    }


def _check_listed(judgement: Judgement, annotations: str | Path, series: str | Path, predictions: str | Path) -> None:
    """Raise InputError when nothing can be compared."""
    if not judgement.listed.any():
        raise InputError(
            f"Expected a nodule of {annotations} in at least one of the {judgement.scans} scans of {series}, got none: "
            "a sensitivity needs nodules; check that both name scans alike."
        )
    marks = len(judgement.verdict)
    if marks and judgement.count(Verdict.UNLISTED) == marks:
        raise InputError(
            f"Expected marks in the {judgement.scans} scans of {series}, but all {marks} of {predictions} lie in "
            "others; check that both name scans alike."
        )


def _froc(judgement: Judgement, progress: Progress, resamples: int, seed: int) -> dict[str, Any]:
    """CPM and operating points with their intervals, the curve and its band."""
    events = FrocEvents(judgement)
    curve = events.curve()
    sensitivity = curve.at(RATES)
    # drawing scans tells nothing about the spread when there is one only
    wanted = resamples if judgement.scans > 1 else 0
    drawn = bootstrap_sensitivities(events, BAND_RATES, progress, resamples=wanted, seed=seed)
    band: dict[str, Any] | None = None
    intervals: list[list[float] | None] = [None] * len(RATES)
    cpm_interval = None
    if len(drawn):
        low, high = percentile_interval(drawn)
        band = {
            "false_positives_per_scan": BAND_RATES.tolist(),
            "low": low.tolist(),
            "mean": drawn.mean(axis=0).tolist(),
            "high": high.tolist(),
        }
        at_points = np.isin(BAND_RATES, RATES)
        intervals = np.stack((low, high), axis=1)[at_points].tolist()
        cpm_interval = [float(end) for end in percentile_interval(drawn[:, at_points].mean(axis=1))]
    corners = curve.corners()
    return {
        "cpm": {"value": float(sensitivity.mean()), "ci95": cpm_interval},
        "operating_points": [
            {"false_positives_per_scan": rate, "sensitivity": float(value), "ci95": interval}
            for rate, value, interval in zip(RATES, sensitivity, intervals, strict=True)
        ],
        "curve": {
            "false_positives_per_scan": corners.rate.tolist(),
            "sensitivity": corners.sensitivity.tolist(),
            "threshold": [None, *corners.threshold[1:].tolist()],  # none is high enough for the first point
        },
        "band": band,
        "draws": len(drawn),
    }


def _counts(judgement: Judgement, excluded: Points, uids: tuple[str, ...]) -> dict[str, Any]:
    nodules, found = int(judgement.listed.sum()), int(judgement.found.sum())
    listed = set(uids)
    names = {
        "hits": Verdict.HIT,
        "false_positives": Verdict.FALSE_POSITIVE,
        "on_excluded_findings": Verdict.IGNORED,
        "over_limit": Verdict.OVER_LIMIT,
        "in_unlisted_scans": Verdict.UNLISTED,
    }
    return {
        "scans": judgement.scans,
        "nodules": nodules,
        "found": found,
        "missed": nodules - found,
        "excluded_findings": sum(uid in listed for uid in excluded.series),
        "marks": {name: judgement.count(verdict) for name, verdict in names.items()},
    }


def _warnings(judgement: Judgement, included: Points, uids: tuple[str, ...], marks: Points) -> list[str]:
    warnings = []
    unlisted = judgement.count(Verdict.UNLISTED)
    if unlisted:
        warnings.append(f"{unlisted} of {len(marks)} marks lie in scans that are not listed and do not count.")
    nodules_elsewhere = int((~judgement.listed).sum())
    if nodules_elsewhere:
        warnings.append(
            f"{nodules_elsewhere} of {len(included)} nodules lie in scans that are not listed and do not count."
        )
    empty = len(set(uids) - set(marks.series))
    if empty:
        warnings.append(f"{empty} of {len(uids)} scans have no mark; they count as searched.")
    points = int((judgement.listed & (included.value == 0)).sum())
    if points:
        warnings.append(f"{points} nodules have a diameter of 0 mm: no mark can hit them, they count as missed.")
    return warnings


def _missed(judgement: Judgement, included: Points) -> list[dict[str, Any]]:
    rows = np.flatnonzero(judgement.listed & ~judgement.found)
    return [
        {
            "series": included.series[row],
            "center_mm": included.center_mm[row].tolist(),
            "diameter_mm": float(included.value[row]),
        }
        for row in rows
    ]
