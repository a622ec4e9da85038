"""Regions of interest: an index box or a box in RAS mm, given in words or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from .errors import RegionError, SettingsError
from .volume import Geometry


@dataclass(frozen=True)
class Region:
    """A box to which a run is restricted.

    Parameters
    ----------
    kind:
        ``"ijk"``: bounds are voxel indices, half-open; ``"ras"``: bounds are RAS mm.
    bounds:
        Lower and upper bound of each axis: ``(i0, i1, j0, j1, k0, k1)`` or ``(r0, r1, a0, a1, s0, s1)``.
    name:
        With a name (``left``), the region's labels are kept apart from those of other regions.

    Raises
    ------
    RegionError
        A lower bound is not below its upper bound.
    SettingsError
        The kind is unknown or there are not six finite bounds.
    """

    kind: str
    bounds: tuple[float, float, float, float, float, float]
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("ijk", "ras"):
            raise SettingsError(f"Expected a region of kind 'ijk' or 'ras', got {self.kind!r}.")
        if len(self.bounds) != 6 or not np.isfinite(self.bounds).all():
            raise SettingsError(f"Expected six finite bounds, got {self.bounds}; give low,high for each axis.")
        low, high = self.bounds[0::2], self.bounds[1::2]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise RegionError(f"The region {self} is empty: each lower bound must be below its upper bound.")

    def __str__(self) -> str:
        prefix = f"{self.name}=" if self.name else ""
        return f"{prefix}{self.kind}:" + ",".join(f"{b:.10g}" for b in self.bounds)

    @classmethod
    def parse(cls, kind: str, text: str) -> Region:
        """From ``[NAME=]low,high,low,high,low,high``.

        Raises
        ------
        SettingsError
            The text has not that form.
        """
        name, _, numbers = text.rpartition("=")
        try:
            bounds = tuple(float(part) for part in numbers.split(","))
        except ValueError:
            bounds = ()
        if len(bounds) != 6:
            raise SettingsError(f"Expected a region as [NAME=]low,high,low,high,low,high, got {text!r}.")
        return cls(kind, bounds, name.strip())

    def index_box(self, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Start and stop (half-open, i j k) of the smallest index box that holds the region.

        A RAS box takes every voxel whose centre is inside it, in oblique volumes the bounding
        index box of its corners. Parts outside the image are cut off.

        Raises
        ------
        RegionError
            Nothing of the region lies inside the image.
        """
        if self.kind == "ijk":
            low, high = np.array(self.bounds[0::2]), np.array(self.bounds[1::2])
            start, stop = np.ceil(low).astype(int), np.ceil(high).astype(int)
        else:
            corners = np.array(list(product(*zip(self.bounds[0::2], self.bounds[1::2], strict=True))))
            index = geometry.ijk_from_ras(corners)
            # 1e-6 voxel keeps a bound that lies exactly on a voxel centre inside despite rounding
            start = np.ceil(index.min(axis=0) - 1e-6).astype(int)
            stop = np.floor(index.max(axis=0) + 1e-6).astype(int) + 1
        start, stop = np.maximum(start, 0), np.minimum(stop, geometry.size_ijk)
        if (start >= stop).any():
            raise RegionError(
                f"The region {self} holds no voxel of the image (size {geometry.size_ijk}); "
                "move it onto the image or check its units (voxel index or RAS mm)."
            )
        return tuple(int(n) for n in start), tuple(int(n) for n in stop)  # type: ignore[return-value]


def regions_mask(regions: Sequence[Region], geometry: Geometry) -> np.ndarray:
    """Mask ``(k, j, i)`` of the voxels that lie in any of the regions, see ``Region.index_box``.

    Raises
    ------
    RegionError
        Nothing of a region lies inside the image.
    """
    mask = np.zeros(geometry.shape_kji, dtype=bool)
    for region in regions:
        start, stop = region.index_box(geometry)
        mask[tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))] = True
    return mask
