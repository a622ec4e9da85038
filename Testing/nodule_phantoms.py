"""Nodules with known truth, put into any CT: made by a formula, seeded, with the partial volume of a scanner.

A nodule is an ellipsoid, turned and a little lobed, of solid tissue, of ground glass, or of ground glass around a
solid core; a vessel may end in it. What it covers of each voxel is counted on a finer grid, blurred as a scanner
blurs, and mixed into the image. The truth is the sharp shape: its volume, its diameters, its mask and its box.

Used by the tests of measurements and detection, and to make training data for the demonstration detector::

    rng = np.random.default_rng(seed)
    lung = find_lungs(volume).mask
    centers = places(volume, lung, rng, 3, radius_mm=6, touching="pleura")
    nodules = [random_nodule(rng, center) for center in centers]
    phantom = insert(volume, nodules, rng)   # phantom.volume, phantom.labelmap, phantom.truths
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.findings.boxes import OrientedBox, box_of_mask
from SlicerCNNSegLib.engine.findings.finding import KINDS, NON_SOLID, PART_SOLID, SOLID
from SlicerCNNSegLib.engine.volume import Geometry, Volume

FREE, VESSEL, PLEURA = TOUCHING = ("free", "vessel", "pleura")

HU_RANGES = {SOLID: (-20.0, 80.0), NON_SOLID: (-700.0, -500.0), PART_SOLID: (-700.0, -500.0)}
"""Of solid tissue, and of ground glass, which is also the outer part of a part-solid nodule."""

CORE_HU, CORE_SHARE = (-20.0, 60.0), (0.45, 0.7)
"""Of the solid part of a part-solid nodule; its diameter as a share of the whole."""

VESSEL_HU = 30.0
FINER_MM, FINER = 0.3, (2, 5)
"""How far apart the points are on which is counted what a nodule covers; fewest and most along an edge of a voxel."""

TISSUE_HU = -400.0
"""Half-way from lung to soft tissue."""

WALL_BALL_MM = 6.0
"""Tissue into which a ball of this radius fits is chest wall, heart or liver, no vessel of the lung."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Nodule:
    """One nodule by its formula.

    Parameters
    ----------
    center_ras_mm:
        Its middle.
    diameters_mm:
        Of the ellipsoid, along its own three axes.
    kind:
        ``solid``, ``part-solid`` or ``non-solid``.
    hu:
        Of the whole, or of the ground glass around a core.
    core_hu, core_share:
        Of the core of a part-solid nodule; its diameter as a share of the whole.
    turned:
        Rotation vector (radians) of the ellipsoid's axes.
    lobes:
        How far the surface goes in and out, as a share of the radius.
    vessel_mm:
        Diameter of a vessel that ends in it; 0 without one.
    seed:
        Of the lobes and of the vessel's direction.
    """

    center_ras_mm: Triple
    diameters_mm: Triple
    kind: str = SOLID
    hu: float = 30.0
    core_hu: float = 30.0
    core_share: float = 0.5
    turned: Triple = (0.0, 0.0, 0.0)
    lobes: float = 0.0
    vessel_mm: float = 0.0
    seed: int = 0

    def depth(self, ras_mm: np.ndarray) -> np.ndarray:
        """Shape (..., 3) to (...): 0 in the middle, 1 on the surface, above 1 outside."""
        own = (ras_mm - np.asarray(self.center_ras_mm)) @ Rotation.from_rotvec(self.turned).as_matrix()
        scaled = own / (np.asarray(self.diameters_mm) / 2)
        radius = np.linalg.norm(scaled, axis=-1)
        if not self.lobes:
            return radius
        waves = np.random.default_rng(self.seed).normal(0, 2.0, (4, 3))  # about two lobes around the nodule each
        direction = scaled / np.maximum(radius, 1e-9)[..., np.newaxis]
        return radius / (1 + self.lobes / 2 * np.sin(direction @ waves.T).sum(axis=-1))

    def in_vessel(self, ras_mm: np.ndarray) -> np.ndarray:
        """Which points lie in the vessel, which runs from the middle outwards."""
        if not self.vessel_mm:
            return np.zeros(ras_mm.shape[:-1], dtype=bool)
        along = np.random.default_rng(self.seed + 1).normal(size=3)
        along /= np.linalg.norm(along)
        from_center = ras_mm - np.asarray(self.center_ras_mm)
        height = from_center @ along
        aside = np.linalg.norm(from_center - height[..., np.newaxis] * along, axis=-1)
        return (height >= 0) & (aside <= self.vessel_mm / 2)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of an inserted nodule.

    Parameters
    ----------
    nodule:
        Its formula.
    volume_mm3, solid_volume_mm3:
        Of what lies in the lung; and of the solid part of that.
    box:
        Around the voxels that it covers at least half, along the volume's axes.
    value:
        Of these voxels in the labelmap.
    """

    nodule: Nodule
    volume_mm3: float
    solid_volume_mm3: float
    box: OrientedBox
    value: int


@dataclass(frozen=True, eq=False)
class Phantom:
    """A CT with nodules, a labelmap ``(k, j, i)`` with 1, 2, ... for them, and the truth on each."""

    volume: Volume
    labelmap: np.ndarray
    truths: tuple[Truth, ...]


def random_nodule(
    rng: np.random.Generator,
    center_ras_mm: Sequence[float],
    *,
    kind: str | None = None,
    diameter_mm: float | None = None,
    vessel_share: float = 0.0,
) -> Nodule:
    """A nodule of a random shape; of a random kind and of 4-30 mm (small ones are more frequent) unless given.

    The longest of its diameters is at most 1.6 times the shortest; ``vessel_share`` of the nodules have a vessel.
    """
    kind = str(rng.choice(KINDS)) if kind is None else kind
    mean_mm = float(np.exp(rng.uniform(np.log(4), np.log(30)))) if diameter_mm is None else diameter_mm
    shape = rng.uniform(0.8, 1.25, 3)
    shape /= np.prod(shape) ** (1 / 3)
    vessel_mm = float(rng.uniform(1.5, max(1.6, min(4.0, 0.4 * mean_mm)))) if rng.random() < vessel_share else 0.0
    return Nodule(
        center_ras_mm=_triple(center_ras_mm),
        diameters_mm=_triple(mean_mm * shape),
        kind=kind,
        hu=float(rng.uniform(*HU_RANGES[kind])),
        core_hu=float(rng.uniform(*CORE_HU)),
        core_share=float(rng.uniform(*CORE_SHARE)),
        turned=_triple(Rotation.random(rng=rng).as_rotvec()),
        lobes=float(rng.uniform(0, 0.12)),
        vessel_mm=vessel_mm,
        seed=int(rng.integers(2**31)),
    )


def insert(
    volume: Volume,
    nodules: Sequence[Nodule],
    rng: np.random.Generator,
    *,
    blur_mm: float = 0.5,
    noise_hu: float = 15.0,
    wall: np.ndarray | None = None,
) -> Phantom:
    """The CT with these nodules; where the chest wall or another organ is, it stays.

    Parameters
    ----------
    volume:
        One channel in HU, any orientation.
    nodules:
        Later ones cover earlier ones.
    rng:
        Of the noise inside of nodules.
    blur_mm:
        Standard deviation of the scanner's blur, on top of the averaging over a voxel.
    noise_hu:
        Standard deviation of the noise inside of nodules.
    wall:
        ``wall_mask`` of the CT, for those who need it more than once.

    Raises
    ------
    ValueError
        A nodule covers no voxel of the image's lung by half.
    """
    array = volume.array[0].astype(np.float32)
    wall = wall_mask(array, volume.geometry) if wall is None else wall
    labelmap = np.zeros(array.shape, dtype=np.uint16)
    truths = []
    for value, nodule in enumerate(nodules, start=1):
        where, covered = _coverage(nodule, volume.geometry, blur_mm)
        in_lung = ~wall[where]
        noise = ndimage.gaussian_filter(rng.normal(0, 1, in_lung.shape), 0.5)
        noise *= noise_hu / max(float(noise.std()), 1e-9)
        image = array[where].copy()
        for share, hu in covered.painted:
            image += np.where(in_lung, share * (hu + noise - image), 0)
        array[where] = image
        voxels = (covered.whole >= 0.5) & in_lung
        if not voxels.any():
            raise ValueError(f"The nodule at {nodule.center_ras_mm} covers no voxel of the lung; place it elsewhere.")
        labelmap[where][voxels] = value
        mask = np.zeros(array.shape, dtype=bool)
        mask[where] = voxels
        whole, solid = (
            float((share * in_lung).sum() * volume.geometry.voxel_volume_mm3)
            for share in (covered.whole, covered.solid)
        )
        truths.append(Truth(nodule, whole, solid, box_of_mask(mask, volume.geometry), value))
    return Phantom(replace(volume, array=array[np.newaxis]), labelmap, tuple(truths))


def places(
    volume: Volume,
    lung: np.ndarray,
    rng: np.random.Generator,
    count: int,
    *,
    radius_mm: float,
    touching: str = FREE,
    apart_mm: float | None = None,
    wall: np.ndarray | None = None,
    around: Surroundings | None = None,
) -> list[Triple]:
    """Random middles for nodules of that radius: free in the lung, at a vessel, or at the pleura.

    Parameters
    ----------
    volume:
        The CT.
    lung:
        Its lungs, vessels included; shape ``(k, j, i)``.
    count:
        How many; fewer come back when there is no room.
    radius_mm:
        Of the nodules.
    touching:
        ``free``: a margin of 2 mm to the wall and to thick vessels; ``vessel``: a vessel's surface within the nodule;
        ``pleura``: the nodule's middle in the lung, a part of it (0.1 to 0.7 of the radius) beyond the pleura.
    apart_mm:
        Between middles; three radii without it.
    wall:
        ``wall_mask`` of the CT, for those who need it more than once.
    around:
        ``surroundings`` of the lung, likewise.
    """
    around = surroundings(volume, lung, wall) if around is None else around
    to_wall, to_vessel, spacing = around.to_wall_mm, around.to_vessel_mm, volume.geometry.spacing_mm[::-1]
    fits = {
        FREE: lambda: (to_wall > radius_mm + 2) & (to_vessel > min(radius_mm + 2, 5)),
        VESSEL: lambda: (to_wall > radius_mm + 2) & (to_vessel > 0.3 * radius_mm) & (to_vessel < 0.9 * radius_mm),
        PLEURA: lambda: (to_wall > 0.3 * radius_mm) & (to_wall < 0.9 * radius_mm),
    }[touching]()
    inside = np.zeros_like(fits)  # the whole nodule, and what measuring looks at around it, lies in the image
    margin = np.ceil((radius_mm + 3) / spacing).astype(int)
    inside[tuple(slice(int(m), max(int(m), n - int(m))) for m, n in zip(margin, fits.shape, strict=True))] = True
    candidates = volume.geometry.ras_from_ijk(rng.permutation(np.argwhere(fits & inside))[:, ::-1])
    apart = 3 * radius_mm if apart_mm is None else apart_mm
    chosen: list[np.ndarray] = []
    for point in candidates:
        if len(chosen) == count:
            break
        if all(np.linalg.norm(point - other) > apart for other in chosen):
            chosen.append(point)
    offsets = rng.uniform(-0.5, 0.5, (len(chosen), 3)) @ volume.geometry.ijk_to_ras[:3, :3].T
    return [_triple(point + offset) for point, offset in zip(chosen, offsets, strict=True)]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """How far each voxel of a lung is from its wall and from its vessels, shape ``(k, j, i)``, in mm."""

    to_wall_mm: np.ndarray
    to_vessel_mm: np.ndarray


def surroundings(volume: Volume, lung: np.ndarray, wall: np.ndarray | None = None) -> Surroundings:
    """What ``places`` goes by; parameters as there."""
    wall = wall_mask(volume.array[0], volume.geometry) if wall is None else wall
    spacing = volume.geometry.spacing_mm[::-1]
    inside = ~wall & lung
    vessels = (volume.array[0] > TISSUE_HU) & inside
    return Surroundings(
        ndimage.distance_transform_edt(inside, sampling=spacing),
        ndimage.distance_transform_edt(~vessels, sampling=spacing),
    )


def wall_mask(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Chest wall, heart and liver: tissue into which a ball of ``WALL_BALL_MM`` fits, shape ``(k, j, i)``."""
    spacing = geometry.spacing_mm[::-1]
    tissue = np.pad(array > TISSUE_HU, 1, mode="edge")
    core = ndimage.distance_transform_edt(tissue, sampling=spacing) > WALL_BALL_MM
    if not core.any():
        return np.zeros(array.shape, dtype=bool)
    opened = ndimage.distance_transform_edt(~core, sampling=spacing) <= WALL_BALL_MM
    return (opened & tissue)[1:-1, 1:-1, 1:-1]


@dataclass(frozen=True, eq=False)
class _Covered:
    """Shares of voxels that a nodule covers: of the whole and of its solid part; and what is painted with what HU."""

    whole: np.ndarray
    solid: np.ndarray
    painted: tuple[tuple[np.ndarray, float], ...]


def _coverage(nodule: Nodule, geometry: Geometry, blur_mm: float) -> tuple[tuple[slice, ...], _Covered]:
    """Where in the array (k, j, i) the nodule lies, and what it covers there."""
    reach_mm = max(nodule.diameters_mm) / 2 * (1 + 2 * nodule.lobes) + 4 * blur_mm + (12 if nodule.vessel_mm else 0)
    reach = reach_mm * np.linalg.norm(np.linalg.inv(geometry.ijk_to_ras[:3, :3]), axis=1) + 1
    middle = geometry.ijk_from_ras(np.asarray(nodule.center_ras_mm))
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, geometry.size_ijk).astype(int)
    finer = np.clip(np.ceil(geometry.spacing_mm / FINER_MM), *FINER).astype(int)
    axes = [a + (np.arange((b - a) * n) + 0.5) / n - 0.5 for a, b, n in zip(low, high, finer, strict=True)]
    k, j, i = np.meshgrid(*axes[::-1], indexing="ij")
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    depth = nodule.depth(points)
    whole = depth <= 1
    solid = {SOLID: whole, NON_SOLID: np.zeros_like(whole), PART_SOLID: depth <= nodule.core_share}[nodule.kind]
    finer = finer[::-1]
    sigma = blur_mm / geometry.spacing_mm[::-1] * finer
    painted = [(nodule.in_vessel(points), VESSEL_HU)] if nodule.vessel_mm else []
    painted.append((whole, nodule.hu))
    if nodule.kind == PART_SOLID:
        painted.append((solid, nodule.core_hu))
    blurred = tuple(
        (_block_means(ndimage.gaussian_filter(part.astype(np.float32), sigma), finer), hu) for part, hu in painted
    )
    where = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    return where, _Covered(_block_means(whole, finer), _block_means(solid, finer), blurred)


def _block_means(fine: np.ndarray, finer: np.ndarray) -> np.ndarray:
    """The mean over each voxel of the image, which has ``finer`` points along k, j, i."""
    (c, b, a), (k, j, i) = finer, np.array(fine.shape) // finer
    return fine.reshape(k, c, j, b, i, a).mean(axis=(1, 3, 5))


def _triple(values: Sequence[float] | np.ndarray) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
