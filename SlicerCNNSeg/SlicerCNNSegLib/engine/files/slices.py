"""Where a DICOM file's planes lie in the patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..errors import DicomError
from ..wording import elided, printable

LONGEST_VALUE = 80
"""Characters of a wrong value that an error shows."""

UNIT_TOLERANCE = 1e-3
"""Largest deviation of the row and column directions from unit length and from a right angle."""

FUNCTIONAL_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)
"""Where enhanced multi-frame images keep what single-frame images have at their top (DICOM PS3.3 C.7.6.16)."""

GEOMETRY_TAGS = (
    *("Rows", "Columns", "NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing"),
    *("SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept"),
)
"""What ``slices_of`` looks at."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One image plane.

    Parameters
    ----------
    file, frame:
        Where its pixels are; ``frame`` counts from 0 in a multi-frame file, None in a single-frame one.
    position:
        LPS mm of the centre of the first pixel, shape (3,); None when the file has none.
    axes:
        Unit vectors (LPS) along a row and down a column, shape (2, 3); None when the file has none.
    pixel_mm:
        Distance of neighbours along a row and down a column, shape (2,).
    size:
        Columns, rows.
    thickness_mm:
        Depth of a volume of this slice alone.
    rescale:
        Slope and intercept from stored to real values.
    """

    file: Path
    frame: int | None
    position: np.ndarray | None
    axes: np.ndarray | None
    pixel_mm: np.ndarray
    size: tuple[int, int]
    thickness_mm: float
    rescale: tuple[float, float]

    def __str__(self) -> str:
        return self.file.name if self.frame is None else f"{self.file.name} (frame {self.frame + 1})"


def slices_of(dataset: Dataset, file: Path) -> Iterator[Slice]:
    """The planes in one DICOM file: one, or those of an enhanced multi-frame image.

    Raises
    ------
    DicomError
        A multi-frame file that does not say where its frames lie, or an attribute with a wrong value.
    """
    frames = int(_number([dataset], "NumberOfFrames", file, default=1))
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    if frames == 1 and not groups:
        yield _slice(file, None, dataset, [dataset])
        return
    if len(groups) != frames:
        raise DicomError(
            f"Expected {frames} frames with a place each in {file}, got {len(groups)} places; "
            "export the series as single slices or as an enhanced multi-frame image."
        )
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    for frame, group in enumerate(groups):
        parts = [item for holder in (group, *shared) for name in FUNCTIONAL_GROUPS for item in holder.get(name) or []]
        yield _slice(file, frame, dataset, [*parts, dataset])


def _slice(file: Path, frame: int | None, dataset: Dataset, parts: Sequence[Dataset]) -> Slice:
    """A slice whose attributes are the first found in ``parts``."""
    spacing = _numbers(parts, "PixelSpacing", 2, file)
    if spacing is None:
        spacing = _numbers(parts, "ImagerPixelSpacing", 2, file)
    if spacing is None:
        spacing = np.ones(2)
    if (spacing <= 0).any():
        raise DicomError(f"Expected a positive PixelSpacing in {file}, got {spacing.tolist()}; export the file again.")
    size = [int(_number([dataset], keyword, file, default=0)) for keyword in ("Columns", "Rows")]
    if min(size) < 1:
        raise DicomError(f"Expected Columns and Rows of at least 1 in {file}, got {size}; export the file again.")
    distance = abs(_number(parts, "SpacingBetweenSlices", file, default=0))
    thickness = distance or _number(parts, "SliceThickness", file, default=0)
    cosines = _numbers(parts, "ImageOrientationPatient", 6, file)
    return Slice(
        file=file,
        frame=frame,
        position=_numbers(parts, "ImagePositionPatient", 3, file),
        axes=None if cosines is None else _unit_axes(cosines.reshape(2, 3), file),
        pixel_mm=spacing[::-1],  # DICOM gives the distance between rows, down a column, first
        size=(size[0], size[1]),
        thickness_mm=thickness if thickness > 0 else 1.0,
        rescale=(
            _number(parts, "RescaleSlope", file, default=1),
            _number(parts, "RescaleIntercept", file, default=0),
        ),
    )


def _numbers(parts: Sequence[Dataset], keyword: str, count: int, file: Path) -> np.ndarray | None:
    """The attribute's ``count`` numbers from the first part that has it; None when none has."""
    found = next((part[keyword].value for part in parts if part.get(keyword) not in (None, "")), None)
    if found is None:
        return None
    try:
        values = np.atleast_1d(np.asarray(found, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.shape != (count,) or not np.isfinite(values).all():
        got = printable(elided(str(found), LONGEST_VALUE))
        raise DicomError(f"Expected {count} number(s) in {keyword} of {file}, got {got}; export the file again.")
    return values


def _number(parts: Sequence[Dataset], keyword: str, file: Path, default: float) -> float:
    """The attribute's one number from the first part that has it, or ``default``."""
    found = _numbers(parts, keyword, 1, file)
    return default if found is None else float(found[0])


def _unit_axes(cosines: np.ndarray, file: Path) -> np.ndarray:
    """Row and column directions, shape (2, 3), exactly of unit length and at a right angle."""
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > UNIT_TOLERANCE:
        raise DicomError(
            f"Expected two unit vectors at a right angle in ImageOrientationPatient of {file}, "
            f"got {cosines.ravel().tolist()}; export the file again."
        )
    row = cosines[0] / np.linalg.norm(cosines[0])
    column = cosines[1] - (cosines[1] @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])
