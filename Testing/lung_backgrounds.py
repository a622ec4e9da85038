"""Pieces of chest made by a formula, to insert nodules into: lung with branching vessels, airways, a fissure and wall.

What looks like a nodule without being one matters here: vessels that fork, bend or run through a slice, airway walls,
and a chest wall with bumps. Every number is drawn anew for each piece, so that no two are alike. Seeded::

    background = lung_background(np.random.default_rng(seed))
    phantom = insert(background.volume, nodules, rng, noise_hu=0)
    volume = scanned(phantom.volume, rng)          # a scanner's noise over nodules and background alike
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from SlicerCNNSegLib.engine.volume import Volume

EXTENT_MM = (110.0, 125.0, 120.0)
"""Right to left, back to front, feet to head: a part of one lung, and the wall around it."""

MURRAY = 2 ** (-1 / 3)
"""A vessel's children have this share of its radius (Murray 1926)."""

SMALLEST_RADIUS_MM = 0.45
ALONG_HILUM = 0.4
"""So many of the first vessels run up or down beside the mediastinum instead of outwards."""

AIRWAY_LUMEN = 0.7
"""Of an airway's radius; the rest is its wall."""

TISSUE, FAT, BONE, AIRWAY_WALL, AIRWAY, FISSURE = 45.0, -95.0, 350.0, -150.0, -960.0, -600.0
VESSEL_HU = (20.0, 300.0)
"""Without and with contrast medium."""


@dataclass(frozen=True, eq=False)
class Background:
    """A CT without noise, and where its lung is (vessels included), shape ``(k, j, i)``."""

    volume: Volume
    lung: np.ndarray


def lung_background(rng: np.random.Generator, spacing_mm: tuple[float, float, float] | None = None) -> Background:
    """A piece of chest around one lung.

    Parameters
    ----------
    rng:
        Of all shapes and grey values.
    spacing_mm:
        Along i, j, k (L, P, S); drawn from usual ones without it.
    """
    if spacing_mm is None:
        plane = float(rng.uniform(1.3, 1.7))
        spacing_mm = plane, plane, float(rng.choice([1.5, 2.0, 2.5]))
    size = np.rint(np.asarray(EXTENT_MM) / spacing_mm).astype(int)
    matrix = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((size - 1) / 2)
    canvas = _Canvas(rng, size[::-1], np.asarray(spacing_mm)[::-1])
    lung = canvas.lung()
    image = np.where(lung, canvas.parenchyma(), canvas.wall())
    canvas.fissure(image, lung)
    vessel_hu = float(rng.uniform(*VESSEL_HU))
    for start, end, radius_mm in _tree(rng):
        canvas.tube(image, lung, start, end, radius_mm, vessel_hu)
        if radius_mm > 1.2:
            airway_mm = radius_mm * float(rng.uniform(0.8, 1.3))
            aside = np.cross(end - start, rng.normal(size=3))
            aside *= (radius_mm + airway_mm) / max(float(np.linalg.norm(aside)), 1e-6)
            canvas.tube(image, lung, start + aside, end + aside, airway_mm, AIRWAY_WALL)
            canvas.tube(image, lung, start + aside, end + aside, airway_mm * AIRWAY_LUMEN, AIRWAY)
    blur_mm = float(rng.uniform(0.2, 0.7))
    image = ndimage.gaussian_filter(image, blur_mm / np.asarray(spacing_mm)[::-1]).astype(np.float32)
    return Background(Volume(image[np.newaxis], matrix, modality="CT", source="lung background"), lung)


def scanned(volume: Volume, rng: np.random.Generator) -> Volume:
    """The same with a scanner's noise: of 8 to 55 HU, of a sharp or a soft kernel."""
    noise = rng.normal(size=volume.array.shape[1:]).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, float(rng.uniform(0.0, 0.9)))
    noise *= float(np.exp(rng.uniform(np.log(8), np.log(55)))) / float(noise.std())
    return replace(volume, array=np.rint(np.clip(volume.array + noise, -1024, 3071)).astype(np.int16))


def _tree(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Segments of a vessel tree in mm (k, j, i) from the block's middle, with their radii, thick ones first."""
    hilum = np.array([rng.uniform(-15, 15), rng.uniform(-15, 15), EXTENT_MM[0] / 2 - 12])
    open_ends = []
    for _ in range(int(rng.integers(7, 13))):
        along = rng.normal(size=3)
        along[2] = -abs(along[2]) - 0.3
        if rng.random() < ALONG_HILUM:
            along *= (3.0, 1.0, 0.2)
        open_ends.append((hilum + rng.normal(0, 8, 3), along / np.linalg.norm(along), float(rng.uniform(2.2, 6.0))))
    while open_ends:
        start, along, radius_mm = open_ends.pop(0)
        end = start + along * radius_mm**0.6 * float(rng.uniform(5, 12))
        yield start, end, radius_mm
        if np.abs(end[::-1]).max() > max(EXTENT_MM) / 2:
            continue
        share = float(rng.uniform(0.75, 1.15))
        for child_mm in (radius_mm * MURRAY * share, radius_mm * MURRAY * (2 - share) * 0.95):
            if child_mm > SMALLEST_RADIUS_MM:
                turned = along + rng.normal(0, 0.45, 3)
                open_ends.append((end, turned / np.linalg.norm(turned), child_mm))


class _Canvas:
    """Draws on a grid whose middle is the origin, in mm along k, j, i."""

    def __init__(self, rng: np.random.Generator, shape: np.ndarray, spacing_mm: np.ndarray) -> None:
        self._rng, self._spacing = rng, spacing_mm
        self.shape = tuple(int(n) for n in shape)
        self._axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(self.shape, spacing_mm, strict=True)]

    def waves(self, length_mm: float) -> np.ndarray:
        """A smooth random field of zero mean and unit deviation, with waves of about that length."""
        steps = np.maximum(np.ceil(np.array(self.shape) * self._spacing / length_mm).astype(int), 1) + 3
        coarse = self._rng.normal(size=steps)
        zoom = (steps - 3) / np.array(self.shape)
        field = ndimage.affine_transform(coarse, zoom, [1.0] * 3, self.shape, order=2, mode="nearest")
        return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), dtype=np.float32)

    def lung(self) -> np.ndarray:
        """An ellipsoid with a bumpy surface, cut off at the block's inner side."""
        k, j, i = np.meshgrid(*self._axes, indexing="ij", sparse=True)
        radii = self._rng.uniform([60, 50, 45], [110, 70, 60])
        center = self._rng.uniform([-25, -8, 0], [25, 8, 14])
        depth = (
            ((k - center[0]) / radii[0]) ** 2 + ((j - center[1]) / radii[1]) ** 2 + ((i - center[2]) / radii[2]) ** 2
        )
        bumps = 0.1 * self.waves(60.0) + self._rng.uniform(0.01, 0.035) * self.waves(14.0)
        heart = 32.0 + 6.0 * self.waves(50.0)
        beside = np.sqrt((k + 40) ** 2 + (j - 25) ** 2 + (i - 62) ** 2)
        return np.asarray((depth + bumps < 1) & (beside > heart))

    def parenchyma(self) -> np.ndarray:
        """Lung tissue between the vessels, brighter at the back."""
        mean_hu = self._rng.uniform(-900, -790)
        gravity = self._rng.uniform(0, 0.6) * self._axes[1][np.newaxis, :, np.newaxis]
        texture = self._rng.uniform(5, 22) * self.waves(self._rng.uniform(4, 9)) + 15 * self.waves(30.0)
        image = mean_hu + gravity + texture
        if self._rng.random() < 0.3:  # emphysema: holes
            image = np.where(self.waves(9.0) > 1.6, -975.0, image)
        return np.asarray(image, dtype=np.float32)

    def wall(self) -> np.ndarray:
        """Muscle with pieces of fat and bone."""
        kinds = self.waves(18.0)
        return np.where(kinds > 1.1, BONE, np.where(kinds < -0.6, FAT, TISSUE)).astype(np.float32)

    def fissure(self, image: np.ndarray, lung: np.ndarray) -> None:
        """A thin curved sheet through the lung."""
        k, j, _ = np.meshgrid(*self._axes, indexing="ij", sparse=True)
        tilt = self._rng.uniform(0.4, 1.2)
        off_mm = k + tilt * j + self._rng.uniform(-20, 20) + 6 * self.waves(80.0)
        sheet = lung & (np.abs(off_mm) < self._rng.uniform(0.6, 1.1))
        image[sheet] = np.maximum(image[sheet], FISSURE)

    def tube(
        self, image: np.ndarray, lung: np.ndarray, start: np.ndarray, end: np.ndarray, radius_mm: float, hu: float
    ) -> None:
        """A piece of a vessel with round ends, mixed in by the share of each voxel that it covers."""
        reach = radius_mm + self._spacing.max()
        middles = (np.array(self.shape) - 1) / 2
        low = np.floor((np.minimum(start, end) - reach) / self._spacing + middles).astype(int)
        high = np.ceil((np.maximum(start, end) + reach) / self._spacing + middles).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, self.shape)
        if (low >= high).any():
            return
        where = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        k, j, i = np.meshgrid(*[axis[part] for axis, part in zip(self._axes, where, strict=True)], indexing="ij")
        points = np.stack([k, j, i], axis=-1) - start
        axis = end - start
        along = np.clip(points @ axis / max(float(axis @ axis), 1e-9), 0, 1)
        away = np.linalg.norm(points - along[..., np.newaxis] * axis, axis=-1)
        voxel = float(np.cbrt(self._spacing.prod()))
        share = np.clip((radius_mm - away) / voxel + 0.5, 0, 1) * min(1.0, (2.2 * radius_mm / voxel) ** 2)
        image[where] += np.where(lung[where], share * (hu - image[where]), 0)
