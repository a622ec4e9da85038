"""The data check of classified images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from SlicerCNNSegLib.engine.wording import listed

from ..data.cases import ClassifiedImage
from ..data.images import ImageReading
from ..data.splits import Division
from .duplicates import equal_groups
from .findings import ERROR, SHOWN_NAMES, WARNING, CheckReport, Finding
from .leaks import find_patient_leaks


def check_images(
    images: Sequence[ClassifiedImage],
    reading: ImageReading,
    division: Division[ClassifiedImage],
    classes: Sequence[str],
    folds: Sequence[int],
) -> CheckReport:
    """Judge images that were read.

    Parameters
    ----------
    division:
        How they are divided.
    classes:
        Of the recipe.
    folds:
        Those that are to be trained.
    """
    parts = division.parts if len(folds) > 1 else division.parts_in(folds[0])
    findings = [Finding(ERROR, "unusable image", (case_id,), fault) for case_id, fault in reading.faults.items()]
    findings += find_patient_leaks(images, parts)
    findings += _twins(images, reading.hashes, parts)
    for fold in folds:
        findings += _missing(division, fold, classes)
    findings.sort(key=lambda finding: finding.severity != ERROR)
    rows = tuple(
        {"case": one.id, "patient": one.patient, "part": parts[one.id], "classes": list(one.classes)} for one in images
    )
    counts = tuple({"name": name, "cases": sum(name in one.classes for one in images)} for name in classes)
    return CheckReport(tuple(findings), rows, counts)


def _twins(images: Sequence[ClassifiedImage], hashes: Mapping[str, str], parts: Mapping[str, str]) -> list[Finding]:
    """Images that come twice: an error where they lie in different parts or are of different classes."""
    by_id = {one.id: one for one in images}
    findings = []
    for group in equal_groups(hashes):
        places = sorted({parts[case_id] for case_id in group})
        if len({frozenset(by_id[case_id].classes) for case_id in group}) > 1:
            findings.append(Finding(ERROR, "two truths", group, "one image of different classes; correct the table."))
        elif len(places) > 1:
            message = f"one image, voxel for voxel, in {' and '.join(places)}; remove all but one."
            findings.append(Finding(ERROR, "duplicate", group, message))
        else:
            findings.append(Finding(WARNING, "duplicate", group, "one image, voxel for voxel; remove all but one."))
    return findings


def _missing(division: Division[ClassifiedImage], fold: int, classes: Sequence[str]) -> list[Finding]:
    """Classes that a fold cannot learn or measure."""
    where = f"fold {fold}: " if division.folds else ""
    trained, held = (
        {name for one in part for name in one.classes} for part in (division.training(fold), division.held_out(fold))
    )
    findings = []
    for part, found in (("training", trained), ("held-out", held)):
        gone = [name for name in classes if name not in found]
        if gone:
            message = f"{where}no {part} image is of {listed(gone, SHOWN_NAMES)}; add images, or take the class out."
            findings.append(Finding(ERROR, "missing class", (), message))
    return findings
