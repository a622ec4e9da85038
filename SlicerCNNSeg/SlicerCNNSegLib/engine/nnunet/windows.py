"""nnU-Net's sliding windows: evenly spread, Gaussian weights, scores (not probabilities) averaged, in float16.

As in nnU-Net 2.8's ``predict_from_raw_data.py``. MONAI's windows, which ``engine/windows.py`` takes, lie elsewhere and
average probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import pad

from ..errors import ModelError
from ..mirrorings import mirrorings
from ..progress import Progress, advance
from ..windows.network import ready

OVERLAP = 0.5
SIGMA = 1 / 8
"""Of the Gaussian weights, as a share of the window's size."""

PEAK = 10.0
"""The largest weight: float16 has more digits there than at 1 for the small ones."""

Place = tuple[Any, ...]
"""Slices and indices."""


@dataclass(frozen=True)
class Windows:
    """How to go over an image.

    Parameters
    ----------
    size:
        Of a window: three sizes, or two for a network of slices, which then come one by one along the first axis.
    overlap:
        Share of a window that its neighbour covers at least.
    batch:
        Windows per forward pass.
    mirror_axes:
        Axes of the window; scores are averaged over all combinations of mirrorings along them.
    """

    size: tuple[int, ...]
    overlap: float = OVERLAP
    batch: int = 1
    mirror_axes: tuple[int, ...] = ()

    @property
    def mirrorings(self) -> tuple[tuple[int, ...], ...]:
        """Sets of axes to reverse; the first is none."""
        return mirrorings(self.mirror_axes)


def scores_of(
    image: torch.Tensor,
    networks: Sequence[torch.nn.Module],
    windows: Windows,
    progress: Progress,
    *,
    stitch_device: torch.device,
    autocast: torch.dtype | None = None,
) -> torch.Tensor:
    """Scores averaged over windows, mirrorings and networks.

    Parameters
    ----------
    image:
        ``(channel, x, y, z)`` float32, prepared.
    networks:
        Ensemble members, all on the device to compute on.

    Returns
    -------
    torch.Tensor
        ``(class, x, y, z)`` float16 on the CPU.

    Raises
    ------
    ModelError
        The scores are too large for float16.
    Cancelled
        The user asked to stop.
    """
    size, dims = image.shape[1:], len(windows.size)
    lacking = [max(0, window - n) for window, n in zip(windows.size, size[-dims:], strict=True)]
    sides = [(lack // 2, lack - lack // 2) for lack in lacking]
    padded = pad(image, [n for side in reversed(sides) for n in side]).to(stitch_device)
    places = list(_places(tuple(padded.shape[1:]), windows))
    weights = importance(windows.size).to(stitch_device)
    steps = len(networks) * -(-len(places) // windows.batch) * len(windows.mirrorings)
    ticker = _Ticker(progress, steps)
    total: torch.Tensor | None = None
    for network in networks:
        found = _stitched(padded, places, weights, ready(network, autocast), windows, ticker, autocast).cpu()
        total = found if total is None else total.add_(found)
    assert total is not None  # there is a network
    total /= len(networks)
    if not torch.isfinite(total).all():
        raise ModelError("The network's scores are no finite numbers of 16 bits; the weights are damaged.")
    inner: Place = (..., *(slice(before, before + n) for (before, _), n in zip(sides, size[-dims:], strict=True)))
    return total[inner]


def importance(size: tuple[int, ...]) -> torch.Tensor:
    """Weights of a window's voxels: a Gaussian around its middle, float16, nowhere zero."""
    point = np.zeros(size)
    point[tuple(n // 2 for n in size)] = 1
    weights = gaussian_filter(point, [n * SIGMA for n in size], mode="constant", cval=0)
    found = torch.from_numpy(weights * (PEAK / weights.max())).half()
    return torch.where(found == 0, found[found > 0].min(), found)


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along an axis: as few as needed, evenly spread."""
    count = int(np.ceil((size - window) / (window * (1 - overlap)))) + 1
    step = (size - window) / max(count - 1, 1)
    return [int(np.round(step * n)) for n in range(count)]


def _places(size: tuple[int, ...], windows: Windows) -> Iterator[Place]:
    """Where windows lie, for arrays ``(channel, x, y, z)``."""
    dims = len(windows.size)
    along = [starts(n, w, windows.overlap) for n, w in zip(size[-dims:], windows.size, strict=True)]
    slices: list[tuple[int, ...]] = [(index,) for index in range(size[0])] if dims == 2 else [()]
    for first, corner in product(slices, product(*along)):
        yield slice(None), *first, *(slice(at, at + w) for at, w in zip(corner, windows.size, strict=True))


@dataclass
class _Ticker:
    """Counts forward passes; asks at each whether to stop."""

    progress: Progress
    steps: int
    done: int = 0

    def tick(self) -> None:
        self.done += 1
        advance(self.progress, self.done / self.steps, "Running the network")


def _stitched(
    image: torch.Tensor,
    places: Sequence[Place],
    weights: torch.Tensor,
    network: torch.nn.Module,
    windows: Windows,
    ticker: _Ticker,
    autocast: torch.dtype | None,
) -> torch.Tensor:
    """One network's scores, weighted and added up where the image lies."""
    device = next(network.parameters()).device
    scores: torch.Tensor | None = None
    amount = torch.zeros(image.shape[1:], dtype=torch.half, device=image.device)
    for begin in range(0, len(places), windows.batch):
        here = places[begin : begin + windows.batch]
        batch = torch.stack([image[place] for place in here]).to(device)
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            found = _mirrored(batch, network, windows, ticker).to(image.device)
        if scores is None:
            scores = torch.zeros((found.shape[1], *image.shape[1:]), dtype=torch.half, device=image.device)
        for place, one in zip(here, found, strict=True):
            scores[place] += one * weights
            amount[place[1:]] += weights
    assert scores is not None  # there is a window
    return scores.div_(amount)


def _mirrored(batch: torch.Tensor, network: torch.nn.Module, windows: Windows, ticker: _Ticker) -> torch.Tensor:
    total: torch.Tensor | None = None
    for axes in windows.mirrorings:
        dims = [axis + 2 for axis in axes]
        found = torch.flip(network(torch.flip(batch, dims)), dims)
        total = found if total is None else total.add_(found)
        ticker.tick()
    assert total is not None
    return total.div_(len(windows.mirrorings))
