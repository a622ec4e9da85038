"""Spacing, window, width and batch: the largest that time and memory allow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import ModelError, SettingsError
from SlicerCNNSegLib.engine.networks import check_window

from .budget import GIB, Budget
from .cost import Cost, cost_of
from .families import Case, Family
from .fingerprint import Fingerprint
from .topology import LIKE, Axes, largest_window, smaller_window

ANISOTROPIC = 3.0
"""Factor between spacings, and between sizes, from which on nnU-Net plans for thick slices."""

FINER_PERCENTILE = 10.0
"""Percentile of the spacings along that axis that is then taken instead of the median."""

COVERED = 0.25
"""Share of the median image that a window should cover: below, nnU-Net adds a network at a coarser spacing."""

CHORD_VOXELS = 4.0
"""Voxels that a thin structure's mean chord keeps when the spacing is made coarser."""

STRETCH = 2.0
"""Where windows would cover less than that, so many times fewer steps are made, of larger windows."""

COARSER = 1.2
"""Factor from one spacing that is tried to the next."""

DATA_SHARE = 0.5
"""Share of the host's memory that the data may take."""

REFERENCE_EDGE = {3: 64, 2: 256}
"""The network is as wide as two windows of a cube's or square's voxels of this edge (or the whole image) allow in the
time of a step."""

FEWEST_WINDOWS, MOST_WINDOWS = 2, 4
"""Of a batch: nnU-Net's least, and the shipped recipe's. What is left over is better spent on more steps."""

BATCH_SHARE = 0.05
"""Share of all voxels that a batch of more than two windows may hold (nnU-Net)."""

SMALLEST_WINDOW = {3: 16**3, 2: 32**2}
"""Voxels below which a window shows too little to be learned from."""

SCORE_FLOPS = 4000.0
"""Operations that pass in the time that the loss takes per score: 17 ns on a CPU that makes 220 GFLOP/s."""

OVERHEAD = 1.15
"""Share of a step's time for what is not counted: augmentation, the optimiser."""


@dataclass(frozen=True)
class Size:
    """What was chosen.

    Parameters
    ----------
    full_spacing_mm, spacing_mm:
        The data's own, and that of network space; two or three axes.
    image:
        Median size of the images there.
    window, width, batch:
        Of the network.
    definition, cost:
        The network.
    limit:
        What kept the window from being larger: ``image``, ``time`` or ``memory``.
    """

    full_spacing_mm: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    image: tuple[float, ...]
    window: Axes
    width: int
    batch: int
    definition: dict[str, Any]
    cost: Cost
    limit: str

    @property
    def covered(self) -> float:
        """Share of the median image that the window covers, at most 1."""
        return float(np.minimum(1, np.array(self.window) / self.image).prod())


def step_seconds(cost: Cost, batch: int, budget: Budget) -> float:
    """What a step is expected to take."""
    return _flops(cost, batch) / budget.throughput_flops


def _flops(cost: Cost, batch: int) -> float:
    return OVERHEAD * (cost.step_flops(batch) + SCORE_FLOPS * cost.scores * batch)


def full_spacing(fingerprint: Fingerprint) -> tuple[float, float, float]:
    """The median spacing; for thick slices the 10th percentile along their axis (Isensee et al., 2021)."""
    spacing, size = fingerprint.median_spacing_mm.copy(), fingerprint.median_size
    thick = int(spacing.argmax())
    others = [axis for axis in range(3) if axis != thick]
    if spacing[thick] > ANISOTROPIC * spacing[others].max() and size[thick] * ANISOTROPIC < size[others].min():
        finer = np.percentile(np.array(fingerprint.spacings_mm)[:, thick], FINER_PERCENTILE)
        spacing[thick] = max(finer, spacing[others].max())
    x, y, z = (_rounded(mm) for mm in spacing)
    return x, y, z


@dataclass(frozen=True)
class Sizer:
    """Chooses for one data set and budget.

    Parameters
    ----------
    fingerprint, family, budget:
        See there.
    axes:
        Of R, A, S, those that the network sees: three, or two for single slices.
    stretch:
        How many times fewer steps than wanted will do.
    """

    fingerprint: Fingerprint
    family: Family
    budget: Budget
    axes: tuple[int, ...]
    stretch: float = 1.0

    def choose(self) -> Size:
        """The finest spacing at which a window covers enough, the largest window there, then the batch.

        Raises
        ------
        SettingsError
            Not even the smallest window fits into the memory.
        """
        full = np.array(full_spacing(self.fingerprint))[list(self.axes)]
        width = self._width(full)
        for spacing, last in self._spacings(full):
            if not self._data_fits(spacing):
                continue
            size = self._largest(full, spacing, width)
            if size.covered >= COVERED or last:
                break
        if size.covered < COVERED and size.limit == "time" and self.stretch < STRETCH:
            return replace(self, stretch=STRETCH).choose()
        needed = self._bytes(size, 1)
        if needed > self._memory(size.spacing_mm):
            raise SettingsError(
                f"Expected {needed / GIB:.2g} GiB of free memory beside the data for the smallest window, "
                f"got {max(0.0, self._memory(size.spacing_mm)) / GIB:.2g}; close programs, or take another machine."
            )
        return self._with_batch(size)

    def _spacings(self, full: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
        """From the data's own to ever coarser ones, and whether thin structures allow no coarser one.

        Fine axes first. What comes beyond that limit is for data that would not fit into memory.
        """
        thin = np.min([structure.thickness_mm for structure in self.fingerprint.structures], axis=0)[list(self.axes)]
        allowed = np.maximum(full, thin / CHORD_VOXELS)
        limit = np.maximum(full, np.minimum(allowed, LIKE * allowed.min()))  # no axis much coarser than the others
        least = full.min()
        while True:
            spacing = np.maximum(full, np.minimum(least, limit))
            last = bool((spacing >= limit).all())
            yield np.array([_rounded(mm) for mm in spacing]), last
            least, limit = least * COARSER, limit * (COARSER if last else 1.0)

    def _image(self, spacing: np.ndarray) -> np.ndarray:
        return np.median(self.fingerprint.voxels_at(self._three(spacing)), axis=0)[list(self.axes)]

    def _three(self, spacing: np.ndarray) -> list[float]:
        """With 0, the image's own spacing, along an axis that the network does not see."""
        given = dict(zip(self.axes, spacing, strict=True))
        return [float(given.get(axis, 0.0)) for axis in range(3)]

    def _width(self, full: np.ndarray) -> int:
        """By time alone, so that more memory never gives a smaller window."""
        edge = REFERENCE_EDGE[len(self.axes)]
        window = self._enlarged(largest_window(self._image(full), full, self.family.divisor, edge), full)
        for width in self.family.widths:
            if _flops(self._sized(full, full, window, width).cost, FEWEST_WINDOWS) <= self.budget.step_flops():
                return width
        return self.family.widths[-1]

    def _largest(self, full: np.ndarray, spacing: np.ndarray, width: int) -> Size:
        """The first window that fits, from the largest down."""
        windows = list(self._windows(spacing))
        sizes = partial(self._sized, full, spacing, width=width)
        chosen = bisect_left(windows[:-1], True, key=lambda window: not self._over(sizes(window), FEWEST_WINDOWS))
        limit = self._over(sizes(windows[chosen - 1]), FEWEST_WINDOWS) if chosen else "image"
        return replace(sizes(windows[chosen]), limit=limit)

    def _windows(self, spacing: np.ndarray) -> Iterator[Axes]:
        """From the largest window to the smallest."""
        image, divisor = self._image(spacing), self.family.divisor
        window: Axes | None = self._enlarged(largest_window(image, spacing, divisor), spacing)
        while window is not None:
            yield window
            window = smaller_window(window, image, spacing, divisor)
            if window and (np.prod(window) < SMALLEST_WINDOW[len(self.axes)] or not self._legal(window, spacing)):
                return

    def _case(self, window: Axes, spacing: np.ndarray) -> Case:
        return Case(window, tuple(spacing), len(self.fingerprint.channels), 1 + len(self.fingerprint.structures))

    def _legal(self, window: Axes, spacing: np.ndarray) -> bool:
        """Whether the family's networks take the window; some need two voxels in the deepest level."""
        try:
            check_window(self.family.define(self._case(window, spacing), self.family.widths[-1]), window)
        except ModelError:
            return False
        return True

    def _enlarged(self, window: Axes, spacing: np.ndarray) -> Axes:
        """The window, its first axes doubled until it is legal."""
        sides = list(window)
        for axis in range(len(sides)):
            if self._legal(tuple(sides), spacing):
                break
            sides[axis] *= 2
        return tuple(sides)

    def _sized(self, full: np.ndarray, spacing: np.ndarray, window: Axes, width: int) -> Size:
        """A network for a window."""
        case = self._case(window, spacing)
        definition = self.family.define(case, width)
        return Size(
            full_spacing_mm=tuple(float(mm) for mm in full),
            spacing_mm=tuple(float(mm) for mm in spacing),
            image=tuple(float(n) for n in self._image(spacing)),
            window=window,
            width=width,
            batch=FEWEST_WINDOWS,
            definition=definition,
            cost=cost_of(definition, window, case.channels),
            limit="image",
        )

    def _with_batch(self, size: Size) -> Size:
        """The batch that still fits; one window where two take too much memory."""
        spacing = np.array(size.spacing_mm)
        voxels = self.fingerprint.voxels_at(self._three(spacing)).prod(axis=1).sum()
        batch = FEWEST_WINDOWS if self._bytes(size, FEWEST_WINDOWS) <= self._memory(size.spacing_mm) else 1
        while (
            FEWEST_WINDOWS <= batch < MOST_WINDOWS
            and not self._over(size, batch + 1)
            and (batch + 1) * np.prod(size.window) <= BATCH_SHARE * voxels
        ):
            batch += 1
        return replace(size, batch=batch)

    def _over(self, size: Size, batch: int) -> str:
        """What the step goes beyond, ``memory`` or ``time``; empty when it fits."""
        if self._bytes(size, batch) > self._memory(size.spacing_mm):
            return "memory"
        return "time" if _flops(size.cost, batch) > self.budget.step_flops(self.stretch) else ""

    def _bytes(self, size: Size, batch: int) -> float:
        return size.cost.step_bytes(batch, self.budget.precision)

    def _memory(self, spacing: tuple[float, ...]) -> float:
        return self.budget.step_bytes(self.fingerprint.ram_bytes(self._three(np.array(spacing))))

    def _data_fits(self, spacing: np.ndarray) -> bool:
        return self.fingerprint.ram_bytes(self._three(spacing)) <= DATA_SHARE * self.budget.host_memory_gib * GIB


def alike(spacing_mm: tuple[float, ...]) -> bool:
    """Whether a turn about any axis keeps shapes: spacings that differ by less than a factor of two."""
    return max(spacing_mm) / min(spacing_mm) < LIKE


def _rounded(mm: float) -> float:
    return float(f"{mm:.3g}")
