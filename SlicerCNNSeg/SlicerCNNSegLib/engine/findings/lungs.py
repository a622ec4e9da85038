"""The lungs in a CT, by plain rules: threshold, components, closing, left and right, thirds (heavy: scipy).

Good enough to search for nodules and to say where they are: it keeps the search out of air around the body, out of
bowel and out of the windpipe. It is no segmentation to measure lungs with. A consolidated lung or one full of fluid is
not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import GeometryError, InputError, ModalityError
from ..inputs import guess_modality
from ..volume import Geometry, Volume

LUNG_BELOW_HU = -400.0
"""About half-way from lung (-850 HU) to soft tissue (40 HU)."""

AIR_BELOW_HU = -930.0
"""A component with a lower median inside is air: around the body, in bowel, in the windpipe. Inside means off its
surface, which partial volume makes brighter. Healthy lung has a median of about -850 HU, severe emphysema of about
-910 HU; air has -1000 HU, but -980 HU inside of bowel with voxels of 3 mm."""

INSIDE_MM, INSIDE_SHARE = 4.5, 0.1
"""So much of a piece of lung lies at least so far from its surface. What is left of air around the body and in bowel
when the air is taken away is a skin of partial volume, with 8 % at most; lung bases at 3 mm have 16 % and more."""

IN_BODY_SHARE = 0.5
"""So much of a lung lies, slice by slice, in the rectangle around the body's tissue, and a table's foam does not."""

WORKING_MM = 2.0
"""The work is done on voxels of about this size: finer ones take much longer and find the same lungs."""

SMALLEST_ML, SMALLEST_PIECE_ML = 30.0, 5.0
"""Less lung than the first is none (a whole one has over 500 mL; this leaves room for cropped images), and no piece of
one is smaller than the second."""

WINDPIPE_MM = 11.0
"""Tubes of air of half this width and more are windpipe and main bronchi; finer airways stay with the lung."""

CLOSING_MM = 12.0
"""The ball that makes vessels, and nodules at the pleura of up to about its radius, a part of the lung."""

TOUCHING_SHARE = 0.02
"""A lung that has this share of its voxels on a face of the image goes on beyond it."""

THICK_SLICES_MM = 4.0
"""From slices of this thickness on small nodules are lost in partial volume; Lung-RADS asks for 2.5 mm at most."""

BESIDE_MM = 8.0
"""What lies so far outside of the mask still belongs to the lung: large nodules at the pleura."""

RIGHT, LEFT = 1, 2
SIDES = {RIGHT: "right lung", LEFT: "left lung"}
THIRDS = ("lower third", "middle third", "upper third")
BESIDES = "outside of the lungs"


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs in a CT.

    Parameters
    ----------
    sides:
        Shape ``(k, j, i)``, uint8: 1 in the patient's right lung, 2 in the left one, 0 elsewhere.
    geometry:
        Its grid, the CT's.
    warnings:
        What a reader of the findings must know: a lung that is cut off, only one lung, thick slices.
    cut:
        The sides whose top or bottom lies beyond the image, so that their thirds are not known.
    """

    sides: np.ndarray
    geometry: Geometry
    warnings: tuple[str, ...]
    cut: frozenset[int]

    @property
    def mask(self) -> np.ndarray:
        """Both lungs, shape ``(k, j, i)``."""
        return self.sides > 0

    def location(self, ras_mm: np.ndarray, within_mm: float = BESIDE_MM) -> str:
        """Where a point lies, in words: ``right lung, upper third``.

        The nearest lung counts up to ``within_mm`` away from it. Thirds are of that lung's height.
        """
        grid = self.geometry
        voxel = np.rint(grid.ijk_from_ras(np.asarray(ras_mm))).astype(int)
        reach = np.ceil(within_mm / grid.spacing_mm).astype(int)
        low = np.maximum(voxel - reach, 0)
        high = np.maximum(np.minimum(voxel + reach + 1, grid.size_ijk), 0)
        near = self.sides[tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))]
        found = np.argwhere(near)
        if not len(found):
            return BESIDES
        away = np.linalg.norm((found[:, ::-1] + low - voxel) * grid.spacing_mm, axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] > within_mm:
            return BESIDES
        side = int(near[tuple(found[nearest])])
        if side in self.cut:
            return SIDES[side]
        lowest, highest = self._heights_mm()[side]
        third = int(np.clip(3 * (ras_mm[2] - lowest) / max(highest - lowest, 1e-6), 0, 2))
        return f"{SIDES[side]}, {THIRDS[third]}"

    def _heights_mm(self) -> dict[int, tuple[float, float]]:
        """Lowest and highest S of each lung's voxels."""
        heights = {}
        for side in SIDES:
            kji = np.argwhere(_outline(self.sides == side))
            if len(kji):
                superior = self.geometry.ras_from_ijk(kji[:, ::-1])[:, 2]
                heights[side] = float(superior.min()), float(superior.max())
        return heights


def find_lungs(volume: Volume) -> Lungs:
    """The lungs in a CT.

    Parameters
    ----------
    volume:
        The first channel in HU, any orientation.

    Raises
    ------
    GeometryError
        The image is one slice.
    ModalityError
        The image is no CT.
    InputError
        There are no lungs in it.
    """
    _check(volume)
    image, grid, factors = _coarser(volume)
    sides_of = _sides(_lung_components(image, grid), image, grid)
    spacing = grid.spacing_mm[::-1]
    closed = np.zeros(image.shape, dtype=np.uint8)
    for side in SIDES:
        closed[_closed(sides_of == side, spacing) & (closed == 0)] = side
    cut = frozenset(side for side in SIDES if _cut_ends(closed == side, grid))
    sides = _as_fine(closed, factors, volume.geometry)
    return Lungs(sides, volume.geometry, tuple(_warnings(closed, grid, volume.geometry)), cut)


def _check(volume: Volume) -> None:
    """Refuse what has no lungs to look for."""
    where = volume.source or "The image"
    if min(volume.geometry.shape_kji) == 1:
        raise GeometryError(
            f"Expected a chest CT to look for lungs in, but {where} is one slice; give the whole series."
        )
    modality = guess_modality(volume)
    if modality != "CT":
        what = f"is tagged {modality}" if modality else "has no Hounsfield values below that of lung"
        raise ModalityError(f"Expected a chest CT to look for lungs in, but {where} {what}; give a CT in HU.")


def _coarser(volume: Volume) -> tuple[np.ndarray, Geometry, tuple[int, int, int]]:
    """The image by means of blocks of voxels of about ``WORKING_MM``; how many along k, j, i make a block."""
    grid = volume.geometry
    steps = np.maximum(np.rint(WORKING_MM / grid.spacing_mm), 1).astype(int)
    steps = np.minimum(steps, np.array(grid.size_ijk))
    size = np.array(grid.size_ijk) // steps
    k, j, i = (int(n) for n in (size * steps)[::-1])
    fk, fj, fi = (int(n) for n in steps[::-1])
    blocks = volume.array[0, :k, :j, :i].reshape(k // fk, fk, j // fj, fj, i // fi, fi)
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, 3] = grid.ras_from_ijk((steps - 1) / 2)
    matrix[:3, :3] = matrix[:3, :3] * steps
    coarse = Geometry((k // fk, j // fj, i // fi), matrix)
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32), coarse, (fk, fj, fi)


def _as_fine(coarse: np.ndarray, factors: tuple[int, int, int], geometry: Geometry) -> np.ndarray:
    """Blocks as voxels again; the last blocks reach to the image's edge."""
    fine = coarse
    for axis, (factor, size) in enumerate(zip(factors, geometry.shape_kji, strict=True)):
        index = np.minimum(np.arange(size) // factor, coarse.shape[axis] - 1)
        fine = fine.take(index, axis=axis)
    return fine


def _lung_components(image: np.ndarray, grid: Geometry) -> np.ndarray:
    """What is lung: components of low values, without wide air, that are large, thick, in the body and no air."""
    dark = image < LUNG_BELOW_HU
    dark &= ~_wide_air(image, dark, grid)  # before all else: the windpipe may join the lungs and the air outside
    inner = ndimage.distance_transform_edt(dark, sampling=grid.spacing_mm[::-1]) > INSIDE_MM
    parts, count = ndimage.label(dark)
    if not count:
        raise _no_lungs()
    numbers = np.arange(1, count + 1)
    is_large = np.bincount(parts.ravel())[1:] * grid.voxel_volume_mm3 / 1000 >= SMALLEST_PIECE_ML
    is_thick = np.asarray(ndimage.mean(inner, parts, numbers)) >= INSIDE_SHARE
    in_body = np.asarray(ndimage.mean(_body_rectangles(image, grid), parts, numbers)) >= IN_BODY_SHARE
    possible = numbers[is_large & is_thick & in_body]
    medians = ndimage.median(image, np.where(inner, parts, 0), possible) if possible.size else ()
    lung = np.isin(parts, possible[np.asarray(medians) >= AIR_BELOW_HU])
    if lung.sum() * grid.voxel_volume_mm3 / 1000 < SMALLEST_ML:
        raise _no_lungs()
    return lung


def _body_rectangles(image: np.ndarray, grid: Geometry) -> np.ndarray:
    """In each axial slice the rectangle around the body: the largest piece of tissue, without the table."""
    parts, count = ndimage.label(image >= LUNG_BELOW_HU)
    inside = np.zeros(image.shape, dtype=bool)
    if not count:
        return inside
    body = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    across = 2 - int(np.abs(grid.directions[2]).argmax())  # of k, j, i: closest to S
    for tissue, rectangle in zip(np.moveaxis(body, across, 0), np.moveaxis(inside, across, 0), strict=True):
        rows, columns = np.flatnonzero(tissue.any(axis=1)), np.flatnonzero(tissue.any(axis=0))
        if rows.size:
            rectangle[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return inside


def _wide_air(image: np.ndarray, dark: np.ndarray, grid: Geometry) -> np.ndarray:
    """Windpipe, main bronchi, bowel, and around the body: wide air, and what is close to its edge."""
    spacing = grid.spacing_mm[::-1]
    smooth = ndimage.gaussian_filter(image, 1.0 / spacing)  # noise would leave holes in the air
    air = dark & (smooth < AIR_BELOW_HU)
    core = ndimage.distance_transform_edt(air, sampling=spacing) > WINDPIPE_MM / 4
    if not core.any():
        return core
    reach_mm = WINDPIPE_MM / 4 + 2 * float(spacing.max())
    return dark & (ndimage.distance_transform_edt(~core, sampling=spacing) <= reach_mm)


def _sides(lung: np.ndarray, image: np.ndarray, grid: Geometry) -> np.ndarray:
    """1 right and 2 left; lungs that touch are parted where they are thinnest."""
    spacing = grid.spacing_mm[::-1]
    kji = np.argwhere(lung)
    rights = grid.ras_from_ijk(kji[:, ::-1])[:, 0]
    seeds = _two_seeds(lung, spacing)
    if seeds is None:
        body = np.argwhere(image > LUNG_BELOW_HU)
        middle = float(grid.ras_from_ijk(body[:, ::-1])[:, 0].mean()) if len(body) else float(rights.mean())
        parts, count = ndimage.label(lung)
        sides = np.zeros(lung.shape, dtype=np.uint8)
        for part in range(1, count + 1):
            here = parts == part
            mean = float(grid.ras_from_ijk(np.argwhere(here)[:, ::-1])[:, 0].mean())
            sides[here] = RIGHT if mean > middle else LEFT
        return sides
    centers = [float(grid.ras_from_ijk(np.argwhere(seeds == n)[:, ::-1])[:, 0].mean()) for n in (1, 2)]
    # smaller R is further to the patient's left
    values = np.array([0, RIGHT, LEFT] if centers[0] > centers[1] else [0, LEFT, RIGHT], dtype=np.uint8)
    _, nearest = ndimage.distance_transform_edt(seeds == 0, sampling=spacing, return_indices=True)
    return np.where(lung, values[seeds[tuple(nearest)]], 0).astype(np.uint8)


def _two_seeds(lung: np.ndarray, spacing: np.ndarray) -> np.ndarray | None:
    """The inner parts of both lungs as 1 and 2, from the slightest erosion that parts them; None with one lung."""
    inside_mm = ndimage.distance_transform_edt(lung, sampling=spacing)
    for depth_mm in (0.0, 2.0, 4.0, 6.0, 9.0, 12.0):
        parts, count = ndimage.label(inside_mm > depth_mm)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        first, second = np.argsort(-sizes)[:2]
        if sizes[second] >= 0.1 * sizes[first]:
            return np.where(parts == first + 1, 1, np.where(parts == second + 1, 2, 0))
    return None


def _closed(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Closed by a ball, with holes filled; the image's edge neither opens nor closes it."""
    if not mask.any():
        return mask
    pad = [int(np.ceil(CLOSING_MM / s)) for s in spacing]
    padded = np.pad(mask, [(n, n) for n in pad], mode="edge")
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= CLOSING_MM
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_MM
    inner = tuple(slice(n, -n) for n in pad)
    return ndimage.binary_fill_holes(closed[inner] | mask)


def _cut_ends(mask: np.ndarray, grid: Geometry) -> list[str]:
    """``top`` and ``bottom`` where the lung goes on beyond the image there."""
    axis = int(np.abs(grid.directions[2]).argmax())  # of i, j, k: closest to S
    slices = np.moveaxis(mask, 2 - axis, 0)
    upwards = grid.directions[2, axis] > 0
    names = ("bottom", "top") if upwards else ("top", "bottom")
    return [name for name, face in zip(names, (slices[0], slices[-1]), strict=True) if _touches(face, mask)]


def _touches(face: np.ndarray, mask: np.ndarray) -> bool:
    """Whether so much of a mask lies on the face that it goes on beyond: against its mean cross-section."""
    return bool(face.sum() > TOUCHING_SHARE * mask.sum() ** (2 / 3))


def _warnings(closed: np.ndarray, grid: Geometry, fine: Geometry) -> list[str]:
    """What a reader of the findings must know."""
    warnings = []
    for side, name in SIDES.items():
        mask = closed == side
        if not mask.any():
            warnings.append(f"Only one lung was found: there is no {name}; which side it is goes by its place.")
            continue
        faces = [np.moveaxis(mask, axis, 0)[end] for axis in range(3) for end in (0, -1)]
        if any(_touches(face, mask) for face in faces):
            ends = _cut_ends(mask, grid)
            unknown = "; its thirds are not told" if ends else ""
            warnings.append(f"The {name} is cut off by the image's edge: nodules beyond it are not seen{unknown}.")
    thickest = float(fine.spacing_mm.max())
    if thickest >= THICK_SLICES_MM:
        warnings.append(
            f"Voxels are {thickest:.1f} mm thick: nodules below {2 * thickest:.0f} mm may be missed, and volumes are "
            "not to be relied on; use a reconstruction of 2.5 mm or thinner."
        )
    return warnings


def _outline(mask: np.ndarray) -> np.ndarray:
    """One voxel per column and slice is enough to know how high a mask reaches."""
    return mask & ~ndimage.binary_erosion(mask)


def _no_lungs() -> InputError:
    return InputError(
        f"Expected a chest CT, but found no lungs in it (no {SMALLEST_ML:.0f} mL of lung tissue); "
        "check that the image is in Hounsfield units and shows the chest."
    )
