"""A chest made by a formula, with known lungs: body, lungs, heart, spine, windpipe, vessels, a table's foam and air.

Seeded and quick, for tests of the lung mask and as procedural background for inserted nodules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SlicerCNNSegLib.engine.volume import Volume

AIR, LUNG, TISSUE, BONE, FOAM = -1000.0, -850.0, 40.0, 400.0, -920.0
LUNG_CENTER, LUNG_RADII = (75.0, 0.0, 0.0), (58.0, 80.0, 110.0)
"""Of the left and right lung's ellipsoids (R, A, S in mm); the heart is cut out of both."""

HEIGHT_MM = 260.0
RIGHT, LEFT = 1, 2


@dataclass(frozen=True, eq=False)
class Thorax:
    """The CT, and its lungs: 1 right, 2 left, vessels included and the windpipe left out, shape ``(k, j, i)``."""

    volume: Volume
    lungs: np.ndarray


def thorax(
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    *,
    seed: int = 0,
    noise_hu: float = 25.0,
    vessels: int = 40,
    directions: np.ndarray | None = None,
) -> Thorax:
    """A chest of 360 x 260 x 260 mm.

    Parameters
    ----------
    spacing_mm:
        Of the voxels along i, j, k.
    seed:
        Of vessels and noise.
    noise_hu:
        Standard deviation.
    vessels:
        In each lung.
    directions:
        RAS directions of i, j, k as columns, an orthogonal matrix; L, P, S without it.
    """
    rng = np.random.default_rng(seed)
    axes = np.diag([-1.0, -1.0, 1.0]) if directions is None else directions
    extent = np.abs(axes.T @ (360.0, 260.0, HEIGHT_MM))
    size = np.maximum(np.rint(extent / np.asarray(spacing_mm)), 1).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.asarray(spacing_mm)
    matrix[:3, 3] = -matrix[:3, :3] @ ((size - 1) / 2)
    k, j, i = np.meshgrid(*[np.arange(n) for n in size[::-1]], indexing="ij")
    r, a, s = np.moveaxis(np.stack([i, j, k], axis=-1) @ matrix[:3, :3].T + matrix[:3, 3], -1, 0)
    image = np.full(r.shape, AIR, dtype=np.float32)
    image[(np.abs(r) < 150) & (a < -108) & (a > -122)] = FOAM
    image[(r / 165) ** 2 + (a / 100) ** 2 < 1] = TISSUE
    image[((r / 20) ** 2 + ((a + 80) / 18) ** 2) < 1] = BONE
    heart = ((r + 20) / 50) ** 2 + ((a - 20) / 50) ** 2 + ((s + 50) / 60) ** 2 < 1
    lungs = np.zeros(r.shape, dtype=np.uint8)
    for value, sign in ((RIGHT, 1.0), (LEFT, -1.0)):
        x, y, z = LUNG_RADII
        inside = ((r - sign * LUNG_CENTER[0]) / x) ** 2 + (a / y) ** 2 + (s / z) ** 2 < 1
        lungs[inside & ~heart] = value
    image[lungs > 0] = LUNG
    for sign in (1.0, -1.0):
        for _ in range(vessels):
            _draw_vessel(image, lungs > 0, (r, a, s), sign, rng)
    windpipe = ((np.abs(r) < 9) & (np.abs(a + 10) < 9) & (s > 0)) | _bronchi(r, a, s)
    image[windpipe] = AIR
    lungs[windpipe] = 0
    image = ndimage.gaussian_filter(image, 0.4) + rng.normal(0, noise_hu, image.shape)
    return Thorax(Volume(image.astype(np.float32)[np.newaxis], matrix, modality="CT", source="thorax"), lungs)


def _bronchi(r: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Both main bronchi, from the windpipe's end outwards and into the lungs."""
    height = -0.4 * np.abs(r)
    return (np.abs(r) < 35) & ((a + 10) ** 2 + (s - height) ** 2 < 7.0**2)


def _draw_vessel(
    image: np.ndarray,
    lung: np.ndarray,
    ras: tuple[np.ndarray, np.ndarray, np.ndarray],
    sign: float,
    rng: np.random.Generator,
) -> None:
    """A straight tube of 1.5-4 mm from the hilum into the lung."""
    start = np.array([sign * 28.0, -5.0, -5.0])
    along = rng.normal(size=3)
    along[0] = sign * abs(along[0])
    along /= np.linalg.norm(along)
    from_start = [axis - x for axis, x in zip(ras, start, strict=True)]
    height = sum(d * x for d, x in zip(from_start, along, strict=True))
    aside = sum((d - height * x) ** 2 for d, x in zip(from_start, along, strict=True))
    image[lung & (height > 0) & (aside < rng.uniform(1.5, 4.0) ** 2)] = TISSUE
