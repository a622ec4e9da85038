"""Depth, strides and kernels of a U-Net, and which window sizes it can take.

The rules are nnU-Net's (Isensee et al., Nat Methods 18:203, 2021; ``network_topology.py`` of nnU-Net v2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALLEST_MAP = 4
"""Voxels that an axis keeps at least in the deepest level."""

LIKE = 2.0
"""Axes whose spacings differ by less than this factor are treated alike."""

LARGEST_EDGE = {3: 192, 2: 1024}
"""Edge of the cube, or square, whose voxels a window has at most: nnU-Net's largest presets have windows of this
size; more memory is better spent on more windows."""

Axes = tuple[int, ...]
Numbers = Sequence[float] | np.ndarray
"""One for each axis."""


@dataclass(frozen=True)
class Topology:
    """Levels of a U-Net.

    Parameters
    ----------
    strides, kernels:
        Of each level, finest first; the first stride is 1 along all axes.
    """

    strides: tuple[Axes, ...]
    kernels: tuple[Axes, ...]

    @property
    def divisor(self) -> Axes:
        """What a window's sizes must be multiples of."""
        return tuple(int(n) for n in np.prod(self.strides, axis=0))


def topology_of(size: Numbers, spacing_mm: Numbers) -> Topology:
    """The levels that suit a window: an axis is halved while it has 8 voxels and is no coarser than twice the finest.

    Parameters
    ----------
    size, spacing_mm:
        Of the window, along its two or three axes.
    """
    voxels, spacing = np.array(size, dtype=float), np.array(spacing_mm, dtype=float)
    kernel = np.ones(len(voxels), dtype=int)
    strides, kernels = [np.ones(len(voxels), dtype=int)], []
    while True:
        large = voxels >= 2 * SMALLEST_MAP
        if not large.any():
            break
        halved = large & (spacing / spacing[large].min() < LIKE)
        if halved.sum() == 1 and voxels[halved][0] < 3 * SMALLEST_MAP:
            break
        kernel = np.where(spacing / spacing.min() < LIKE, 3, kernel)
        kernels.append(kernel)
        strides.append(np.where(halved, 2, 1))
        voxels, spacing = np.where(halved, np.ceil(voxels / 2), voxels), np.where(halved, spacing * 2, spacing)
    kernels.append(np.full(len(voxels), 3))
    return Topology(*(tuple(tuple(int(n) for n in axes) for axes in levels) for levels in (strides, kernels)))


def legal_window(size: Numbers, spacing_mm: Numbers, divisor: int = 0) -> Axes:
    """The smallest window of at least this size that the network can take.

    Parameters
    ----------
    size, spacing_mm:
        As in ``topology_of``.
    divisor:
        What the sizes must be multiples of; 0 asks ``topology_of``.
    """
    divisors = (divisor,) * len(size) if divisor else topology_of(size, spacing_mm).divisor
    return tuple(-(-int(n) // d) * d for n, d in zip(size, divisors, strict=True))


def largest_window(image: Numbers, spacing_mm: Numbers, divisor: int = 0, edge: int = 0) -> Axes:
    """The window of so many voxels that is alike in mm along all axes, but not larger than the image.

    Parameters
    ----------
    image, spacing_mm:
        Its size, and of its voxels.
    divisor:
        As in ``legal_window``.
    edge:
        Of the cube or square that has as many voxels; 0 takes ``LARGEST_EDGE``.
    """
    axes = len(image)
    voxels = (edge or LARGEST_EDGE[axes]) ** axes
    fineness = 1 / np.asarray(spacing_mm, dtype=float)
    ideal = fineness * (voxels / fineness.prod()) ** (1 / axes)
    for _ in image:  # what one axis lacks, the others may have: few slices get a wide window
        free = ideal < image
        if free.all() or not free.any():
            break
        ideal = np.where(free, ideal * (voxels / np.minimum(ideal, image).prod()) ** (1 / free.sum()), ideal)
    return legal_window(np.maximum(1, np.round(np.minimum(ideal, image))).astype(int), spacing_mm, divisor)


def smaller_window(window: Axes, image: Numbers, spacing_mm: Numbers, divisor: int = 0) -> Axes | None:
    """The next smaller window: the axis that covers most of the image loses a step; None when none can."""
    covered = np.array(window) / np.asarray(image, dtype=float)
    for axis in np.argsort(-covered, kind="stable"):
        step = divisor or topology_of(window, spacing_mm).divisor[axis]
        # a step of 64 from 256 would skip 224, which fewer levels can take
        trial = [n - step if a == axis else n for a, n in enumerate(window)]
        if trial[axis] < 1:
            continue
        step = divisor or topology_of(trial, spacing_mm).divisor[axis]
        less = legal_window([n - step if a == axis else n for a, n in enumerate(window)], spacing_mm, divisor)
        if less[axis] < window[axis] and all(a <= b for a, b in zip(less, window, strict=True)):
            return less
    return None
