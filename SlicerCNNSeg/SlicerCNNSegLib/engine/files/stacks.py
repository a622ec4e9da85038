"""Whether DICOM slices make up one volume, and on which regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DicomError
from ..volume import RAS_FROM_LPS
from .slices import Slice

SAME_TOLERANCE = 1e-3
"""Largest difference of a direction cosine (0.06 degrees) or of a pixel's size in mm within one volume."""

PLACE_TOLERANCE = 0.02
"""Largest distance of a slice from its regular place, as a share of the step: 0.1 mm for 5 mm slices.
Positions are decimal strings, often rounded to 0.01 mm."""

SIDEWAYS_TOLERANCE = 0.1
"""Largest distance of a slice from the straight line through the stack, in pixels."""

LARGEST_GAP = 4.5
"""Widest gap that is interpolated, in usual steps: up to three slices missing in a row. Anatomy
between slices further apart would be invented."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order, and the regular grid that they lie on or are to be interpolated to.

    Parameters
    ----------
    slices:
        In ascending order along the normal (row x column).
    places_mm:
        Where along the line through the stack, from 0, shape (n,).
    count:
        Number of slices of the regular grid over the same length.
    ijk_to_ras:
        4x4 of that grid; sheared when the gantry was tilted.
    note:
        What is irregular, in words; "" when nothing is: then ``count`` is n.
    """

    slices: tuple[Slice, ...]
    places_mm: np.ndarray
    count: int
    ijk_to_ras: np.ndarray
    note: str = ""


def stack(slices: Sequence[Slice]) -> Stack:
    """Order the slices of one series and find their grid.

    Raises
    ------
    DicomError
        They differ in size, spacing or orientation, lie at the same place, beside each other or too
        far apart; the message names the file and the fault.
    """
    if len(slices) == 1:
        return _single(slices[0])
    positions, axes = _common_frame(slices)
    normal = np.cross(axes[0], axes[1])
    order = np.argsort(positions @ normal, kind="stable")
    ordered, positions = tuple(slices[n] for n in order), positions[order]
    depths = (positions - positions[0]) @ normal
    step, count, note = _regular_steps(ordered, depths)
    along = (positions[-1] - positions[0]) / depths[-1]  # the line through the stack, per mm of depth
    _check_line(ordered, positions, positions[0] + np.outer(depths, along))
    return Stack(ordered, depths, count, _matrix(ordered[0], positions[0], axes, along * step), note)


def _single(only: Slice) -> Stack:
    """A stack of one slice; without a place in the patient it lies at the origin, axial."""
    axes = np.eye(3)[:2] if only.axes is None else only.axes
    position = np.zeros(3) if only.position is None else only.position
    normal = np.cross(axes[0], axes[1])
    return Stack((only,), np.zeros(1), 1, _matrix(only, position, axes, normal * only.thickness_mm))


def _matrix(first: Slice, position: np.ndarray, axes: np.ndarray, step: np.ndarray) -> np.ndarray:
    """4x4 ijk_to_ras of a grid that starts at ``position`` (LPS mm) and goes on by ``step`` (LPS mm)."""
    lps = np.eye(4)
    lps[:3, :3] = np.column_stack([axes[0] * first.pixel_mm[0], axes[1] * first.pixel_mm[1], step])
    lps[:3, 3] = position
    return RAS_FROM_LPS @ lps


def _common_frame(slices: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) of all slices and their common axes (2, 3), once everything agrees."""
    first, (_, axes) = slices[0], _placed(slices[0])
    positions = []
    for one in slices:
        position, own_axes = _placed(one)
        for what, mine, its in (
            ("orientation", own_axes, axes),
            ("size (columns, rows)", one.size, first.size),
            ("pixel spacing in mm", one.pixel_mm, first.pixel_mm),
        ):
            if not np.allclose(mine, its, rtol=0, atol=SAME_TOLERANCE):
                raise DicomError(
                    f"The series in {one.file.parent} is not one volume: {one} has the {what} {_plain(mine)}, "
                    f"but {first} {_plain(its)}; export each stack as a series of its own."
                )
        positions.append(position)
    return np.array(positions), axes


def _placed(one: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Position and axes of a slice that has both."""
    if one.position is None or one.axes is None:
        raise DicomError(
            f"The slice {one} of {one.file.parent} has no place in the patient (ImagePositionPatient, "
            "ImageOrientationPatient); choose a cross-sectional series."
        )
    return one.position, one.axes


def _regular_steps(ordered: Sequence[Slice], depths: np.ndarray) -> tuple[float, int, str]:
    """Step in mm, number of slices, and a note when slices have to be interpolated."""
    gaps = np.diff(depths)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # a gap that occurs: the mean of two may be none
    folder = ordered[0].file.parent
    narrow = int(np.argmin(gaps))
    if gaps[narrow] <= max(PLACE_TOLERANCE * usual, 1e-3):
        raise DicomError(
            f"The series in {folder} is not one volume: {ordered[narrow]} and {ordered[narrow + 1]} lie at the same "
            "place; export each time point, echo or reconstruction as a series of its own."
        )
    wide = int(np.argmax(gaps))
    between = f"between {ordered[wide]} and {ordered[wide + 1]}"
    if gaps[wide] > LARGEST_GAP * usual:
        raise DicomError(
            f"The series in {folder} lacks slices: {gaps[wide]:.2f} mm {between}, else {usual:.2f} mm; "
            "export the series again with all its slices."
        )
    count = round(float(depths[-1]) / usual) + 1
    step = float(depths[-1]) / (count - 1)
    if count == len(ordered) and np.abs(depths - step * np.arange(count)).max() <= PLACE_TOLERANCE * step:
        return step, count, ""
    if np.abs(depths / step - np.rint(depths / step)).max() <= PLACE_TOLERANCE:
        return step, count, f"resampled: {count - len(ordered)} missing slice(s) interpolated, {between}"
    return step, count, f"resampled: slice distances from {gaps[narrow]:.2f} to {gaps[wide]:.2f} mm, now {step:.2f} mm"


def _check_line(ordered: Sequence[Slice], positions: np.ndarray, expected: np.ndarray) -> None:
    """Raise ``DicomError`` when a slice lies beside the straight line through the stack."""
    aside = np.linalg.norm(positions - expected, axis=1)
    worst = int(np.argmax(aside))
    if aside[worst] > SIDEWAYS_TOLERANCE * ordered[0].pixel_mm.min():
        raise DicomError(
            f"The series in {ordered[0].file.parent} is not one volume: {ordered[worst]} lies {aside[worst]:.2f} mm "
            "beside the line through the other slices; export each stack as a series of its own."
        )


def _plain(values: object) -> list[float]:
    """Numbers short enough for a message."""
    return np.round(np.asarray(values, dtype=np.float64), 4).ravel().tolist()
