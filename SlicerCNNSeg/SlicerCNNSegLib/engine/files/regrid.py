"""Putting tilted or unevenly spaced slices on a regular, orthogonal grid."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import SimpleITK as sitk

from ..errors import GeometryError
from ..volume import RAS_FROM_LPS, Geometry, Volume

MOST_GROWTH = 16
"""Times that a volume may grow when it is put on an orthogonal grid: a tilt of 45 degrees doubles one."""


def shear_degrees(geometry: Geometry) -> float:
    """The largest angle in degrees by which two axes miss a right angle (the gantry tilt, for slices)."""
    cosines = np.abs(geometry.directions.T @ geometry.directions - np.eye(3))
    return float(np.degrees(np.arcsin(min(cosines.max(), 1.0))))


def orthogonal_grid(geometry: Geometry) -> Geometry:
    """The smallest orthogonal grid over a sheared one.

    The axis i keeps its direction; j and k keep what of them is orthogonal to those before, so a tilted
    stack keeps its slice planes. Voxels are as large as the distance between the planes of voxels.

    Raises
    ------
    GeometryError
        The grid would have more than ``MOST_GROWTH`` times the voxels.
    """
    directions, triangle = np.linalg.qr(geometry.ijk_to_ras[:3, :3])
    signs = np.sign(np.diag(triangle))  # qr may point an axis backwards
    matrix = np.eye(4)
    matrix[:3, :3] = directions * signs * np.abs(np.diag(triangle))
    matrix[:3, 3] = geometry.origin_ras_mm
    frame = Geometry((1, 1, 1), matrix)
    corners = np.array(list(product(*[(0, n - 1) for n in geometry.size_ijk])))
    index = frame.ijk_from_ras(geometry.ras_from_ijk(corners))
    # a whole number of voxels away from voxel (0, 0, 0), which itself stays uninterpolated
    low, high = np.floor(index.min(axis=0) + 1e-6), np.ceil(index.max(axis=0) - 1e-6) + 1
    growth = np.prod(high - low) / math.prod(geometry.size_ijk)
    if not growth <= MOST_GROWTH:
        raise GeometryError(
            f"Expected axes that are nearly at right angles, got some that miss them by {shear_degrees(geometry):.1f} "
            f"degrees: on an orthogonal grid the volume would be {growth:.3g} times as large."
        )
    return frame.cropped(tuple(low.astype(int)), tuple(high.astype(int)))


def resampled(volume: Volume, grid: Geometry) -> Volume:
    """``volume`` on another grid, linearly; outside it has its own smallest value (air, background).

    The volume may be sheared, the grid not. The dtype stays; integers are rounded, not cut off.
    """
    ijk_from_lps = np.linalg.inv(RAS_FROM_LPS @ volume.ijk_to_ras)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(ijk_from_lps[:3, :3].ravel().tolist())
    transform.SetTranslation(ijk_from_lps[:3, 3].tolist())
    reference = Volume(np.zeros((1, 1, 1, 1), np.uint8), grid.ijk_to_ras).to_sitk()
    channels = []
    for channel in volume.array:
        # an image in index coordinates: ITK cannot hold the sheared axes, the transform can
        image = sitk.GetImageFromArray(channel.astype(np.float32))
        moved = sitk.Resample(
            image,
            grid.size_ijk,
            transform,
            sitk.sitkLinear,
            reference.GetOrigin(),
            reference.GetSpacing(),
            reference.GetDirection(),
            float(channel.min()),
        )
        channels.append(_as_dtype(sitk.GetArrayFromImage(moved), volume.array.dtype))
    return replace(volume, array=np.stack(channels), ijk_to_ras=grid.ijk_to_ras)


def without_shear(volume: Volume, cause: str) -> Volume:
    """``volume`` itself, or resampled to ``orthogonal_grid`` when its axes are not orthogonal.

    ``cause`` (``gantry tilt``) and the angle are added to the notes.

    Raises
    ------
    GeometryError
        As ``orthogonal_grid``.
    """
    if not volume.geometry.is_sheared:
        return volume
    note = f"resampled: {cause} of {shear_degrees(volume.geometry):.1f} degrees"
    try:
        straight = resampled(volume, orthogonal_grid(volume.geometry))
    except GeometryError as error:
        raise GeometryError(f"The header of {volume.source} is damaged; export it again. {error}") from error
    return replace(straight, notes=(*volume.notes, note))


def evenly_spaced(array: np.ndarray, places_mm: np.ndarray, count: int) -> np.ndarray:
    """Slices interpolated linearly to ``count`` evenly spaced places from the first to the last.

    Parameters
    ----------
    array:
        Shape ``(channels, k, j, i)``.
    places_mm:
        Place of each slice along the stack, ascending, shape ``(k,)``.
    count:
        Number of slices wanted.

    Returns
    -------
    numpy.ndarray
        Shape ``(channels, count, j, i)``, same dtype.
    """
    wanted = np.linspace(places_mm[0], places_mm[-1], count)
    above = np.clip(np.searchsorted(places_mm, wanted), 1, len(places_mm) - 1)
    share = (wanted - places_mm[above - 1]) / (places_mm[above] - places_mm[above - 1])
    even = np.empty((array.shape[0], count, *array.shape[2:]), array.dtype)
    for k in range(count):  # slice by slice: the float copy of a whole CT would be gigabytes
        low, high = array[:, above[k] - 1].astype(np.float32), array[:, above[k]].astype(np.float32)
        even[:, k] = _as_dtype(low + np.float32(share[k]) * (high - low), array.dtype)
    return even


def _as_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as ``dtype``, rounded when that is an integer type."""
    return np.rint(array).astype(dtype) if np.issubdtype(dtype, np.integer) else array.astype(dtype)
