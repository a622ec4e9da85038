"""The evaluation of detections as a few lines of plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

SHOWN_IOUS = ("0.10", "0.30", "0.50")


def detection_summary(evaluation: Mapping[str, Any]) -> str:
    """The CPM, the seven sensitivities, the other measures and what a reader must know.

    Parameters
    ----------
    evaluation:
        What ``evaluate_detection`` gave.
    """
    froc, counts, scans = evaluation["froc"], evaluation["counts"], evaluation["scan_level"]
    lines = [f"CPM {with_interval(froc['cpm']['value'], froc['cpm']['ci95'])}", "", "FP per scan  sensitivity"]
    lines += [
        f"{rate_text(point['false_positives_per_scan']):>11}  {with_interval(point['sensitivity'], point['ci95'])}"
        for point in froc["operating_points"]
    ]
    marks = counts["marks"]
    found = f"{counts['found']} of {counts['nodules']} nodules found in {counts['scans']} scans"
    others = f"{marks['false_positives']} false positives, {marks['on_excluded_findings']} marks on excluded findings"
    lines += ["", f"{found}; {others}."]
    if evaluation["boxes"]:
        values = ", ".join(f"{evaluation['boxes'][iou]:.3f} at IoU {iou[:-1]}" for iou in SHOWN_IOUS)
        lines.append(f"Box AP: {values}, mean {evaluation['boxes']['mean']:.3f} over 0.1 to 0.5.")
    if scans["auroc"] is not None:
        lines.append(
            f"Scans with nodules: AUROC {scans['auroc']:.3f}, average precision {scans['average_precision']:.3f} "
            f"({scans['positive_scans']} of {scans['scans']} have one)."
        )
    return "\n".join([*lines, *(f"Warning: {text}" for text in evaluation["warnings"])])


def rate_text(rate: float) -> str:
    """``1/8`` for 0.125."""
    return str(Fraction(rate))


def with_interval(value: float, ci95: Sequence[float] | None) -> str:
    """A sensitivity with its 95 % confidence interval."""
    return f"{value:.3f}" + (f" [{ci95[0]:.3f}, {ci95[1]:.3f}]" if ci95 else "")
