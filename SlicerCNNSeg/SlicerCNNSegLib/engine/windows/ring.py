"""Scores of the planes that windows still touch: what has to be held at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch

CHUNK = 2**21
"""Scores added at a time: 8 MB, which a processor's cache holds, of results that may be far larger."""


class Ring:
    """Weighted sums of windows' scores, for as many planes as a window is deep.

    A plane that no further window touches is taken out, and its memory holds the next one.

    Parameters
    ----------
    weights:
        How much a window's voxels count, shape (depth, a, b).
    area:
        Size of a plane (a, b).
    """

    def __init__(self, weights: torch.Tensor, area: tuple[int, int]) -> None:
        self._weights, self._depth = weights, weights.shape[0]
        self._sums: torch.Tensor | None = None
        self._counts = torch.zeros(self._depth, *area, device=weights.device)
        self._area = area

    @property
    def bytes(self) -> int:
        """Memory that is held for the planes."""
        return self._counts.nbytes + (0 if self._sums is None else self._sums.nbytes)

    def add(self, scores: torch.Tensor, start: tuple[int, int, int]) -> None:
        """Add a window's scores, shape (depth, class, a, b), that begin at ``start`` (plane, a, b)."""
        if self._sums is None:
            self._sums = self._room(scores)
        _, classes, a, b = scores.shape
        box = slice(start[1], start[1] + a), slice(start[2], start[2] + b)
        step = max(1, CHUNK // (classes * a * b))
        for first, here in self._pieces(start[0], step):
            piece = slice(first, first + here.stop - here.start)
            weights = self._weights[piece]
            found = scores[piece].to(self._sums.device, torch.float32)
            self._sums[(here, slice(None), *box)].addcmul_(found, weights[:, None])
            self._counts[(here, *box)] += weights

    def take(self, plane: int) -> torch.Tensor:
        """The mean scores of a plane, shape (class, a, b); its place is emptied."""
        assert self._sums is not None  # every plane has a window
        here = plane % self._depth
        mean = self._sums[here] / self._counts[here]
        self._sums[here] = 0
        self._counts[here] = 0
        return mean

    def _pieces(self, plane: int, step: int) -> Iterator[tuple[int, slice]]:
        """A window's planes in pieces of at most ``step``: the first of each, and where they are in the ring."""
        first = 0
        while first < self._depth:
            here = (plane + first) % self._depth
            length = min(step, self._depth - first, self._depth - here)
            yield first, slice(here, here + length)
            first += length

    def _room(self, scores: torch.Tensor) -> torch.Tensor:
        """Zeros for all planes' scores, laid out in memory as the windows' are: classes last, or before a and b."""
        device, classes = self._counts.device, scores.shape[1]
        if classes > 1 and scores.stride(1) == 1:
            return torch.zeros(self._depth, *self._area, classes, device=device).movedim(-1, 1)
        return torch.zeros(self._depth, classes, *self._area, device=device)
