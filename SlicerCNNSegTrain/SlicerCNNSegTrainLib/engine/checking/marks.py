"""The data check of images with nodules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.cases import MarkedImage
from ..data.marked import MarkedReading
from ..data.splits import Division
from .duplicates import equal_groups
from .findings import ERROR, WARNING, CheckReport, Finding
from .leaks import find_patient_leaks

LARGEST_MM = 100.0
"""No nodule is larger: a mass of the lung begins at 30 mm."""


def check_marks(
    images: Sequence[MarkedImage], reading: MarkedReading, division: Division[MarkedImage], folds: Sequence[int]
) -> CheckReport:
    """Judge images that were read.

    Parameters
    ----------
    division:
        How they are divided.
    folds:
        Those that are to be trained.
    """
    parts = division.parts if len(folds) > 1 else division.parts_in(folds[0])
    findings = [Finding(ERROR, "unusable image", (case_id,), fault) for case_id, fault in reading.faults.items()]
    findings += find_patient_leaks(images, parts)
    findings += _twins(reading.hashes, parts)
    findings += _odd_marks(images)
    for fold in folds:
        findings += _missing(division, fold)
    findings.sort(key=lambda finding: finding.severity != ERROR)
    rows = tuple(
        {
            "case": one.id,
            "patient": one.patient,
            "part": parts[one.id],
            "diameters_mm": [mark.diameter_mm for mark in one.marks],
        }
        for one in images
    )
    counts = ({"name": "nodules", "cases": sum(bool(one.marks) for one in images)},)
    return CheckReport(tuple(findings), rows, counts)


def _twins(hashes: Mapping[str, str], parts: Mapping[str, str]) -> list[Finding]:
    """Images that come twice: an error where they lie in different parts."""
    findings = []
    for group in equal_groups(hashes):
        places = sorted({parts[case_id] for case_id in group})
        where = f" in {' and '.join(places)}" if len(places) > 1 else ""
        severity = ERROR if where else WARNING
        message = f"one image, voxel for voxel,{where or ' under several names'}; remove all but one."
        findings.append(Finding(severity, "duplicate", group, message))
    return findings


def _odd_marks(images: Sequence[MarkedImage]) -> list[Finding]:
    """Nodules that are there twice, or too large to be one."""
    findings = []
    for one in images:
        if len({mark.center_ras_mm for mark in one.marks}) < len(one.marks):
            findings.append(Finding(ERROR, "duplicate", (one.id,), "one nodule, in two rows; remove all but one."))
        if any(mark.diameter_mm > LARGEST_MM for mark in one.marks):
            message = f"a nodule of more than {LARGEST_MM:g} mm; are the diameters in mm?"
            findings.append(Finding(WARNING, "diameter", (one.id,), message))
    return findings


def _missing(division: Division[MarkedImage], fold: int) -> list[Finding]:
    """A part without nodules, of which nothing is learned or measured."""
    where = f"fold {fold}: " if division.folds else ""
    findings = []
    for part, images in (("training", division.training(fold)), ("held-out", division.held_out(fold))):
        if not any(one.marks for one in images):
            findings.append(Finding(ERROR, "no nodules", (), f"{where}no {part} image has a nodule; add images."))
    return findings
