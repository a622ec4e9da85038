"""Where windows lie in an image, and how much each of their voxels counts.

Places and weights are those of MONAI's ``SlidingWindowInferer`` (mode ``gaussian``), so that an exported model
gives the same under plain MONAI.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import torch

from .inferer import Inferer

Triple = tuple[int, int, int]

SIGMA = 0.125
"""Of the Gaussian weights, as a share of the window's size."""

LEAST = 1e-3
"""No voxel counts less, in a window's corners."""


@dataclass(frozen=True)
class Grid:
    """The windows over an image that is reversed along some axes; all numbers are of the image as it is.

    Parameters
    ----------
    size:
        Of the image, with what is padded where it is smaller than a window.
    before, after:
        How much of it is padded on either side.
    starts:
        Per axis the windows' first voxels, ascending.
    window:
        Size of a window.
    axis:
        The axis along which the image is finished plane by plane: the one along which windows span the smallest
        share of it.
    """

    size: Triple
    before: Triple
    after: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    window: Triple
    axis: int

    @classmethod
    def over(cls, image_size: tuple[int, ...], inferer: Inferer, reversed_axes: tuple[int, ...] = ()) -> Grid:
        """The windows that ``inferer`` takes of an image of that size, mirrored along ``reversed_axes``."""
        columns = [
            _along(n, window, inferer.overlap, axis in reversed_axes)
            for axis, (n, window) in enumerate(zip(image_size, inferer.window, strict=True))
        ]
        size, before, after, starts = zip(*columns, strict=True)
        shares = [window / n for window, n in zip(inferer.window, size, strict=True)]
        return cls(size, before, after, starts, inferer.window, shares.index(min(shares)))

    def __len__(self) -> int:
        """How many windows there are."""
        x, y, z = self.starts
        return len(x) * len(y) * len(z)

    def cut(self, image: torch.Tensor, start: Triple) -> torch.Tensor:
        """A view of the window that begins at ``start``, of an image ``(channel, x, y, z)``."""
        x, y, z = (slice(first, first + n) for first, n in zip(start, self.window, strict=True))
        return image[:, x, y, z]

    def windows(self) -> Iterator[Triple]:
        """First voxels (x, y, z) of the windows, in ascending order along ``axis``."""
        order = sorted(range(3), key=lambda axis: axis != self.axis)
        for start in product(*(self.starts[axis] for axis in order)):
            x, y, z = (start[order.index(axis)] for axis in range(3))
            yield x, y, z


def _along(n: int, window: int, overlap: float, mirrored: bool) -> tuple[int, int, int, tuple[int, ...]]:
    """Size, padding on either side and windows' starts along one axis."""
    size = max(n, window)
    before = (size - n) // 2
    after = size - n - before
    step = size if window == size else max(1, int(window * (1 - overlap)))
    starts = [*range(0, size - window, step), size - window]
    if mirrored:
        before, after = after, before
        starts = [size - window - start for start in reversed(starts)]
    return size, before, after, tuple(starts)


@lru_cache(maxsize=4)
def blending_weights(window: Triple, device: torch.device) -> torch.Tensor:
    """How much a window's voxels count, shape (x, y, z): a Gaussian of an eighth of the window as sigma.

    nnU-Net's idea (Isensee et al., Nat Methods 18:203, 2021): a network knows least at a window's border.
    """
    weights = torch.ones(1, device=device)
    for size in window:
        at = torch.arange(size, device=device) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(at**2 / (-2 * (size * SIGMA) ** 2))
    return weights[0].clamp(min=max(float(weights.min()), LEAST))
