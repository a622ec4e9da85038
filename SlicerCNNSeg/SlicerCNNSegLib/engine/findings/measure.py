"""What is measured on a segmented nodule: volume, axial diameters, HU (heavy: scipy)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from ..volume import Geometry, Volume
from .boxes import OrientedBox
from .finding import SOLID, Measurements
from .segmenting import SegmentedNodule, segment_nodule


def measure(volume: Volume, box: OrientedBox) -> tuple[Measurements, SegmentedNodule] | None:
    """Segment the nodule in a box and measure it; None where nothing there stands out from the lung.

    Parameters
    ----------
    volume:
        The first channel in HU.
    box:
        The detector's.

    Raises
    ------
    GeometryError
        The box does not lie in the image.
    """
    nodule = segment_nodule(volume, box)
    if nodule is None:
        return None
    voxel_mm3 = nodule.geometry.voxel_volume_mm3
    volume_mm3 = float(nodule.share.sum() * voxel_mm3)
    if not volume_mm3 > 0:  # a speck no brighter than the lung around it
        return None
    longest_mm, perpendicular_mm = axial_diameters(nodule.whole, nodule.geometry)
    solid_mm = axial_diameters(nodule.solid, nodule.geometry) if nodule.solid.any() else (0.0, 0.0)
    inside = nodule.image[nodule.whole]
    measurements = Measurements(
        kind=nodule.kind,
        volume_mm3=volume_mm3,
        longest_mm=longest_mm,
        perpendicular_mm=perpendicular_mm,
        mean_hu=float(inside.mean()),
        min_hu=float(inside.min()),
        solid_volume_mm3=volume_mm3 if nodule.kind == SOLID else float(nodule.solid.sum() * voxel_mm3),
        solid_mean_mm=float(np.mean(solid_mm)),
    )
    return measurements, nodule


def axial_diameters(mask: np.ndarray, geometry: Geometry) -> tuple[float, float]:
    """The longest diameter, and the extent at right angles to it, in the axial slice of the largest area, in mm.

    Axial is the plane of the two axes that are not closest to S; an oblique image is measured along its own axes.

    Parameters
    ----------
    mask:
        Shape ``(k, j, i)``, with at least one true voxel.
    geometry:
        Its grid.
    """
    across = int(np.abs(geometry.directions[2]).argmax())  # of i, j, k
    slices = np.moveaxis(mask, 2 - across, 0)
    largest = slices[int(slices.sum(axis=(1, 2)).argmax())]
    first, second = (axis for axis in (2, 1, 0) if axis != across)  # the rows' and the columns' axis
    rows, columns = np.nonzero(largest)
    # middles of the pixels' sides: corners would make everything longer, centres shorter
    sides = [(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)]
    indices = np.concatenate([np.stack([rows + dr, columns + dc], axis=1) for dr, dc in sides])
    axes = geometry.ijk_to_ras[:3, [first, second]]
    points = np.unique(indices, axis=0) @ axes.T  # in RAS mm, from some origin; they lie in one plane
    return _feret(points, axes)


def _feret(points: np.ndarray, axes: np.ndarray) -> tuple[float, float]:
    """Longest distance between points of a plane, and their extent at right angles to it in that plane."""
    along = axes[:, 0] / np.linalg.norm(axes[:, 0])
    aside = axes[:, 1] - (axes[:, 1] @ along) * along
    flat = points @ np.stack([along, aside / np.linalg.norm(aside)], axis=1)
    hull = flat[ConvexHull(flat).vertices]
    apart = hull[:, np.newaxis] - hull
    distances = np.linalg.norm(apart, axis=-1)
    pair = np.unravel_index(np.argmax(distances), distances.shape)
    direction = apart[pair] / distances[pair]
    across = hull @ np.array([-direction[1], direction[0]])
    # rounding can make the two differ by 1e-15 the wrong way round in a circle
    longest, perpendicular = float(distances[pair]), float(np.ptp(across))
    return max(longest, perpendicular), min(longest, perpendicular)
