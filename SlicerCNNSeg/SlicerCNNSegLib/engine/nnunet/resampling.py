"""nnU-Net's resampling: splines of any order, slices apart from the axis across them where voxels are anisotropic.

Outer faces of the voxels stay where they are. What is written here follows nnU-Net 2.8's ``default_resampling.py`` and
``resample_torch.py``, whose numbers ``Testing/engine/nnunet`` stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch.nn.functional import interpolate

from ..progress import NoProgress, Progress, advance
from .plan import TORCH, Resampling

Resize = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def new_size(size: Sequence[int], spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> tuple[int, ...]:
    """The size at another spacing, rounded (halves to even)."""
    return tuple(round(old / new * n) for n, old, new in zip(size, spacing_mm, wanted_mm, strict=True))


def apart_axis(resampling: Resampling, spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> int | None:
    """The axis across slices that are resampled apart from it, or None.

    It is that of the largest spacing, before or else after, if one of them is anisotropic; where two axes share
    the largest spacing there is none.
    """
    if resampling.separate is False:
        return None
    for spacing in (spacing_mm, wanted_mm):
        if resampling.separate or max(spacing) / min(spacing) > resampling.anisotropy:
            coarse = [axis for axis, mm in enumerate(spacing) if max(spacing) / mm == 1]
            return coarse[0] if len(coarse) == 1 else None
    return None


def resampled(
    array: np.ndarray,
    size: Sequence[int],
    spacing_mm: Sequence[float],
    wanted_mm: Sequence[float],
    resampling: Resampling,
    progress: Progress | None = None,
) -> np.ndarray:
    """An array ``(channel, x, y, z)`` on another size.

    Parameters
    ----------
    spacing_mm, wanted_mm:
        Before and after, along x, y, z; only whether they are anisotropic counts.
    progress:
        Asked at each channel whether to stop.

    Returns
    -------
    np.ndarray
        Of the same type; float32 of TORCH.
    """
    size = tuple(size)
    if array.shape[1:] == size:
        return array
    progress = progress or NoProgress()
    axis = apart_axis(resampling, spacing_mm, wanted_mm)
    torches = resampling.function == TORCH
    found = np.empty((len(array), *size), np.float32 if torches else array.dtype)
    for number, channel in enumerate(array):
        advance(progress, number / len(array), "Resampling")
        resize = _by_torch if torches else _by_splines(resampling.order)
        found[number] = resize(channel, size) if axis is None else _apart(channel, size, axis, resize, torches=torches)
    return found


def labels_resampled(
    labels: np.ndarray,
    size: Sequence[int],
    spacing_mm: Sequence[float],
    wanted_mm: Sequence[float],
    resampling: Resampling,
) -> np.ndarray:
    """A labelmap ``(x, y, z)`` on another size: of each voxel the label whose mask, resampled, is largest there.

    Where several are, it is the nearest voxel's, if that is one of them, else the smallest one.
    """
    size = tuple(size)
    if labels.shape == size:
        return labels
    axis, torches = apart_axis(resampling, spacing_mm, wanted_mm), resampling.function == TORCH

    def resize(plain: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
        return _by_share(plain, wanted, _by_torch if torches else _by_splines(resampling.order))

    return resize(labels, size) if axis is None else _apart(labels, size, axis, resize, torches=torches)


def _by_share(labels: np.ndarray, size: tuple[int, ...], resize: Resize) -> np.ndarray:
    if labels.shape == size:
        return labels
    nearest = _by_splines(0)(labels, size)
    best, found = np.full(size, -1.0), np.zeros(size, labels.dtype)
    for label in np.unique(labels):
        share = resize(labels == label, size)
        better = (share > best) | ((share == best) & (nearest == label))
        best, found = np.where(better, share, best), np.where(better, label, found)
    return found


def _apart(array: np.ndarray, size: tuple[int, ...], axis: int, resize: Resize, *, torches: bool) -> np.ndarray:
    """Slices by ``resize``, the axis across them by nearest neighbour."""
    within = tuple(n for other, n in enumerate(size) if other != axis)
    slices = np.stack([resize(plane, within) for plane in np.moveaxis(array, axis, 0)])
    count = len(slices)
    if torches:
        places = torch.arange(count, dtype=torch.float32)[None, None]
        nearest = interpolate(places, size[axis], mode="nearest-exact")[0, 0].numpy()
    else:
        centres = count / size[axis] * (np.arange(size[axis]) + 0.5) - 0.5
        nearest = ndimage.map_coordinates(np.arange(count, dtype=float), centres[None], order=0, mode="nearest")
    return np.moveaxis(slices[nearest.astype(np.intp)], 0, axis)


def _by_splines(order: int) -> Resize:
    """As scikit-image's ``resize`` with ``mode="edge"``, no smoothing, clipped to the range of what came."""

    def resize(array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        plain = array.astype(np.float64)
        factors = [1 / (old / new) for old, new in zip(array.shape, size, strict=True)]
        found = ndimage.zoom(plain, factors, order=order, mode="nearest", grid_mode=True)
        return np.clip(found, plain.min(), plain.max(), out=found)

    return resize


def _by_torch(array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(array)).float()[None, None]
    mode = "trilinear" if array.ndim == 3 else "bilinear"
    return interpolate(tensor, size, mode=mode)[0, 0].numpy()
