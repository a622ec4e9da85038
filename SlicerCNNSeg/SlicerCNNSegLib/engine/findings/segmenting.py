"""The segmentation of a nodule inside its box, by regions (heavy: scipy).

On a finer grid around the box: what the nodule and the lung around it are like is read from the image, and the nodule
is what lies above the middle between the two. The chest wall is taken off by an opening with a ball that is larger than
the nodule, vessels by one that is smaller (Kostis et al., IEEE Trans Med Imaging 22:1259, 2003). In a layer along the
surface every voxel then counts with the share that its grey value tells, because the middle of a blurred edge lies too
far inside of small nodules (Kuhnigk et al., IEEE Trans Med Imaging 25:417, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import GeometryError
from ..volume import Geometry, Volume
from .boxes import OrientedBox
from .finding import NON_SOLID, PART_SOLID, SOLID

LUNG_HU, TYPICAL_LUNG_HU = -500.0, -850.0
"""Below the first is lung; the second stands for it where a box has none around it."""

TISSUE_HU = -400.0
"""About half-way from lung to soft tissue."""

SOLID_HU = -300.0
"""A nodule whose brightest part is below has no solid part (the usual limit of solid parts, for example in
Ko et al., Radiology 223:798, 2002, is -300)."""

BRIGHTEST_HU = 100.0
"""Contrast medium and calcium above it do not move the edge of a nodule."""

GLASS_OVER_LUNG_HU, CORE_GLASS_OVER_LUNG_HU = 120.0, 60.0
"""Surroundings of a solid part that are this much denser than lung are ground glass; the second holds for a solid part
that is small in its box. Blur alone leaves about 20 HU at the distance that is looked at."""

POINTS_ACROSS = 24
FINEST_MM = 0.3
"""The finer grid has so many points across the box, but none finer than this and none coarser than the image."""

BLUR_MM = 1.2
"""How far an edge is smeared at least, by the scanner; by as much as a voxel where that is larger."""

SMALL_PART = 0.4
"""A solid part that fills less of its box's ellipsoid is the core of something larger."""

TYPICAL_SOLID_HU = 20.0
"""What a solid nodule without a plateau, smaller than the blur, is taken for."""

MARGIN_MM = 4.0
WALL_BALL, SMALLEST_WALL_BALL_MM = 1.2, 8.0
"""The ball that takes off the chest wall, as a share of the box's longest edge. A ball of just the nodule's
radius would bulge into a nodule at the wall by half of it; the wall's own thickness does not matter, because it is made
to go on beyond the crop."""

WALL_MM = 0.6
"""The wall is looked for on every n-th point of the finer grid, so that these are about this far apart: it is large and
smooth, and takes most of the time otherwise."""

VESSEL_BALL = 0.5
"""The ball that takes off vessels, as a share of the nodule's largest inscribed ball."""

BOX_SLACK = 1.25
"""A nodule may be so much larger than the box that its detector gave it."""


@dataclass(frozen=True, eq=False)
class SegmentedNodule:
    """A nodule on a grid of its own, finer than the image.

    Parameters
    ----------
    kind:
        One of ``finding.KINDS``.
    whole, solid:
        Masks ``(k, j, i)`` of the nodule and of its solid part.
    share:
        How much of each voxel the nodule takes; its sum is the nodule's volume in voxels.
    image:
        HU there.
    geometry:
        Of the grid, which has the image's axes.
    """

    kind: str
    whole: np.ndarray
    solid: np.ndarray
    share: np.ndarray
    image: np.ndarray
    geometry: Geometry

    @property
    def center_ras_mm(self) -> tuple[float, float, float]:
        """The middle of its volume."""
        share = self.share.clip(min=0)
        index = np.tensordot(np.indices(share.shape)[::-1], share, axes=3) / share.sum()
        r, a, s = self.geometry.ras_from_ijk(index)
        return float(r), float(a), float(s)

    def on(self, geometry: Geometry) -> np.ndarray:
        """The nodule as a mask ``(k, j, i)`` on the image's grid, or on a part of it that holds the nodule.

        As many voxels as its volume has, those that it covers most: a segment has the volume that was measured.
        """
        shape = geometry.shape_kji
        step = np.linalg.solve(geometry.ijk_to_ras[:3, :3], self.geometry.ijk_to_ras[:3, :3])
        places = np.indices(self.geometry.shape_kji).reshape(3, -1)[::-1]
        ijk = np.rint(step @ places + geometry.ijk_from_ras(self.geometry.origin_ras_mm)[:, np.newaxis]).astype(int)
        inside = ((ijk >= 0) & (ijk < np.array(geometry.size_ijk)[:, np.newaxis])).all(axis=0)
        flat = np.ravel_multi_index(tuple(ijk[::-1, inside]), shape)
        points = np.bincount(flat, minlength=int(np.prod(shape)))
        covered = np.bincount(flat, self.share.ravel()[inside], minlength=points.size) / np.maximum(points, 1)
        volume_mm3 = float(self.share.ravel()[inside].sum()) * self.geometry.voxel_volume_mm3
        count = max(1, round(volume_mm3 / geometry.voxel_volume_mm3))
        mask = np.zeros(points.size, dtype=bool)
        mask[np.argsort(-covered, kind="stable")[:count]] = True
        return (mask & (covered > 0)).reshape(shape)


def segment_nodule(volume: Volume, box: OrientedBox) -> SegmentedNodule | None:
    """The nodule in a box of a CT; None where nothing in its middle stands out from the lung, or no voxel lies there.

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
    around = _Surroundings(volume, box)
    middle = around.image[around.depth <= 0.5]
    if not middle.size:  # a detector's weak candidates may be thinner than a voxel
        return None
    brightest = min(float(np.percentile(middle, 90)), BRIGHTEST_HU)
    if brightest < SOLID_HU:
        glass_hu = float(np.median(middle))
        if glass_hu < around.lung_hu + CORE_GLASS_OVER_LUNG_HU:
            return None
        return around.nodule(NON_SOLID, glass_hu, None)
    solid = around.region((around.lung_hu + brightest) / 2, wider_mm=0.0)
    glass_hu, is_glass = around.glass_around(solid)
    if not is_glass:
        return around.nodule(SOLID, brightest, solid)
    return around.nodule(PART_SOLID, glass_hu, solid & (around.image > (glass_hu + brightest) / 2))


class _Surroundings:
    """A nodule's box on the finer grid, and what may be a part of the nodule there."""

    def __init__(self, volume: Volume, box: OrientedBox) -> None:
        self.image, self._geometry = _finer(volume, box)
        self.depth = _depth(box, self._geometry)
        self._blur_mm = max(float(volume.geometry.spacing_mm.max()), BLUR_MM)
        self._ellipsoid_mm3 = box.volume_mm3 * np.pi / 6
        self._spacing = self._geometry.spacing_mm[::-1]
        ball_mm = max(WALL_BALL * max(box.size_mm), SMALLEST_WALL_BALL_MM)
        self._to_wall_mm = _to_wall(self.image, self._geometry, ball_mm)
        free = (self.depth > BOX_SLACK) & (self._to_wall_mm > self._blur_mm) & (self.image < LUNG_HU)
        self.lung_hu = float(np.median(self.image[free])) if free.any() else TYPICAL_LUNG_HU

    def region(self, above_hu: float, *, wider_mm: float) -> np.ndarray:
        """What is brighter than that around the middle, without vessels and without the wall and a margin to it."""
        allowed = (self.depth <= BOX_SLACK) & (self._to_wall_mm > wider_mm)
        return _freed((self.image > above_hu) & allowed, self._to_wall_mm <= wider_mm, self.depth, self._spacing)

    def glass_around(self, solid: np.ndarray) -> tuple[float, bool]:
        """Median HU a little outside of a solid part, other tissue left out, and whether that is ground glass."""
        if not solid.any():
            return self.lung_hu, False
        away_mm = ndimage.distance_transform_edt(~solid, sampling=self._spacing) - float(self._spacing.mean()) / 2
        ring = (away_mm > 0.6 * self._blur_mm) & (away_mm <= 1.2 * self._blur_mm) & (self.depth <= BOX_SLACK)
        ring &= (self.image < SOLID_HU) & (self._to_wall_mm > self._blur_mm)
        if not ring.any():
            return self.lung_hu, False
        glass_hu = float(np.median(self.image[ring]))
        is_core = solid.sum() * self._geometry.voxel_volume_mm3 < SMALL_PART * self._ellipsoid_mm3
        limit = CORE_GLASS_OVER_LUNG_HU if is_core else GLASS_OVER_LUNG_HU
        return glass_hu, glass_hu > self.lung_hu + limit

    def nodule(self, kind: str, nodule_hu: float, solid: np.ndarray | None) -> SegmentedNodule | None:
        """The nodule of that kind, whose outer part has that grey value; None where there is nothing."""
        whole = solid
        if kind != SOLID or whole is None:
            # beside the wall its blurred edge looks like ground glass
            whole = self.region((self.lung_hu + nodule_hu) / 2, wider_mm=self._blur_mm / 2)
        if not whole.any():
            return None
        core = np.zeros_like(whole) if solid is None else solid & whole
        share = self._share(whole, nodule_hu, None if kind == SOLID else core)
        return SegmentedNodule(kind, whole, core, share, self.image, self._geometry)

    def _share(self, whole: np.ndarray, nodule_hu: float, core: np.ndarray | None) -> np.ndarray:
        """1 inside, 0 outside, and what the grey value tells in a layer along the surface.

        ``core`` is the solid part of a nodule with ground glass, whose grey value is not the surface's.
        """
        inside_mm = ndimage.distance_transform_edt(np.pad(whole, 1), sampling=self._spacing)[1:-1, 1:-1, 1:-1]
        outside_mm = ndimage.distance_transform_edt(~whole, sampling=self._spacing)
        deep = inside_mm > self._blur_mm
        has_core = core is not None and core.any()  # its blur would make the ground glass around it seem brighter
        if deep.any() and not has_core:
            nodule_hu = float(np.median(self.image[deep]))
        elif core is None:
            nodule_hu = max(nodule_hu, TYPICAL_SOLID_HU)
        told = np.clip((self.image - self.lung_hu) / (nodule_hu - self.lung_hu), -0.5, 1)
        middle_hu = (self.lung_hu + nodule_hu) / 2
        free = (self._to_wall_mm > self._blur_mm) & (self.image <= middle_hu)  # no vessel that was cut off
        layer = (whole & ~deep) | (~whole & free & (outside_mm <= self._blur_mm))
        return np.where(layer, told, whole.astype(np.float32))


def _finer(volume: Volume, box: OrientedBox) -> tuple[np.ndarray, Geometry]:
    """The image around the box on a finer grid with the same axes."""
    grid = volume.geometry
    corners = box.index_corners(grid)
    if (corners[3:] < 0).any() or (corners[:3] > np.array(grid.size_ijk) - 1).any():
        raise GeometryError(
            f"The box around {box.center_ras_mm} (RAS mm) lies outside of the image; give the image it was found in."
        )
    reach_mm = MARGIN_MM + (BOX_SLACK - 1) * max(box.size_mm) / 2
    low, high = corners[:3] - reach_mm / grid.spacing_mm, corners[3:] + reach_mm / grid.spacing_mm
    low, high = np.maximum(low, 0), np.minimum(high, np.array(grid.size_ijk) - 1)
    step_mm = np.clip(max(box.size_mm) / POINTS_ACROSS, FINEST_MM, max(FINEST_MM, grid.spacing_mm.min()))
    step = step_mm / grid.spacing_mm
    count = np.floor((high - low) / step + 1e-6).astype(int) + 1
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, 3] = grid.ras_from_ijk(low)
    matrix[:3, :3] = matrix[:3, :3] * step
    finer = Geometry((int(count[2]), int(count[1]), int(count[0])), matrix)
    # a cubic spline keeps the peak of a nodule of two or three voxels; its support is cut out with the box
    first = np.maximum(np.floor(low).astype(int) - 6, 0)
    stop = np.minimum(np.ceil(high).astype(int) + 7, grid.size_ijk)
    cut = volume.array[0][tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], stop[::-1], strict=True))]
    image = ndimage.affine_transform(
        cut.astype(np.float32), step[::-1], (low - first)[::-1], finer.shape_kji, order=3, mode="nearest"
    )
    return image, finer


def _depth(box: OrientedBox, geometry: Geometry) -> np.ndarray:
    """0 in the middle of the box and 1 on the ellipsoid that touches its sides from inside, shape (k, j, i)."""
    k, j, i = np.meshgrid(*[np.arange(n) for n in geometry.shape_kji], indexing="ij", sparse=True)
    # an affine map of the indices, axis by axis: no array of points is made
    inverse = np.linalg.inv(box.axes * np.asarray(box.size_mm) / 2)
    matrix = inverse @ geometry.ijk_to_ras[:3, :3]
    offset = inverse @ (geometry.ijk_to_ras[:3, 3] - np.asarray(box.center_ras_mm))
    squares = [(matrix[n, 0] * i + matrix[n, 1] * j + matrix[n, 2] * k + offset[n]) ** 2 for n in range(3)]
    return np.sqrt(squares[0] + squares[1] + squares[2])


def _to_wall(image: np.ndarray, geometry: Geometry, radius_mm: float) -> np.ndarray:
    """Distance in mm to tissue into which a ball of that radius fits (chest wall, organs); 0 inside of it."""
    every = [max(1, round(WALL_MM / s)) for s in geometry.spacing_mm[::-1]]
    coarse = image[tuple(slice(None, None, n) for n in every)]
    away_mm = _away_from_wall(coarse, geometry.spacing_mm[::-1] * every, radius_mm)
    if np.isinf(away_mm[0, 0, 0]):
        return np.full(image.shape, np.inf)
    return ndimage.affine_transform(away_mm, 1 / np.array(every), output_shape=image.shape, order=1, mode="nearest")


def _away_from_wall(image: np.ndarray, spacing: np.ndarray, radius_mm: float) -> np.ndarray:
    """As ``_to_wall``, on the points that are given; infinite everywhere where there is no wall."""
    tissue = image > TISSUE_HU
    if not any(np.moveaxis(tissue, axis, 0)[[0, -1]].any() for axis in range(3)):
        return np.full(image.shape, np.inf)  # all of it ends within the crop, which is no wall
    pad = [int(np.ceil(radius_mm / s)) for s in spacing]
    tissue = np.pad(tissue, [(n, n) for n in pad], mode="edge")  # the wall goes on beyond the crop
    core = ndimage.distance_transform_edt(tissue, sampling=spacing) > radius_mm
    if not core.any():
        return np.full(image.shape, np.inf)
    away_mm = np.maximum(ndimage.distance_transform_edt(~core, sampling=spacing) - radius_mm, 0)
    return away_mm[tuple(slice(n, n + size) for n, size in zip(pad, image.shape, strict=True))]


def _freed(mask: np.ndarray, wall: np.ndarray, depth: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The part of the mask around its thickest place near the box's middle, without thin things that hang on it.

    What lies on the wall is not thin there.
    """
    inside_mm = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    thickest = np.unravel_index(np.argmax(np.where(depth <= 0.6, inside_mm, 0)), mask.shape)
    if not mask[thickest]:
        return np.zeros_like(mask)
    ball_mm = VESSEL_BALL * float(inside_mm[thickest])
    if wall.any():
        inside_mm = ndimage.distance_transform_edt(np.pad(mask | wall, 1, mode="edge"), sampling=spacing)
        inside_mm = inside_mm[1:-1, 1:-1, 1:-1]
    parts, _ = ndimage.label(mask & (inside_mm >= ball_mm))
    core = parts == parts[thickest]
    return mask & (ndimage.distance_transform_edt(~core, sampling=spacing) <= ball_mm)
