"""From planes of scores or probabilities to the most probable class of each voxel, also on another grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .grid import Triple
from .planes import Planes

AT_ONCE = 2**22
"""Probabilities gathered at a time, per corner: 16 MB."""


def most_probable(planes: Planes, size: Triple) -> np.ndarray:
    """The most probable class per voxel of a grid of ``size`` that fills the same box.

    On a grid of another size probabilities are interpolated (trilinear, as ``torch.nn.functional.interpolate`` does
    without ``align_corners``), not labels, so that borders stay smooth. Where all eight neighbours agree on the most
    probable class, so does everything between them: only the others are interpolated, which is exact and a few per
    cent of the work.

    Parameters
    ----------
    planes:
        Probabilities where the sizes differ; scores will do where they don't.
    size:
        (x, y, z).

    Returns
    -------
    numpy.ndarray
        Shape (x, y, z), uint8 up to 256 classes, else uint16.
    """
    found = _same_grid(planes) if size == planes.size else _other_grid(planes, size)
    labels: np.ndarray | None = None
    for index, (plane, classes) in enumerate(found):
        if labels is None:
            labels = np.empty(size, np.uint8 if classes <= 256 else np.uint16)
        np.moveaxis(labels, planes.axis, 0)[index] = plane.cpu().numpy()
    assert labels is not None  # an image has a voxel
    return labels


def _same_grid(planes: Planes) -> Iterator[tuple[torch.Tensor, int]]:
    for plane in planes.each:
        yield _best(plane), plane.shape[0]


def _best(plane: torch.Tensor) -> torch.Tensor:
    """The index of the largest along the first axis: ``argmax``, which is slow across planes."""
    if len(plane) == 2:
        return (plane[1] > plane[0]).byte()
    return plane.max(dim=0).indices


def _other_grid(planes: Planes, size: Triple) -> Iterator[tuple[torch.Tensor, int]]:
    others = [axis for axis in range(3) if axis != planes.axis]
    pairs = _neighbouring(planes, size[planes.axis])
    rows: _Lines | None = None
    for (below, below_classes), (above, above_classes), share in pairs:
        if rows is None:
            rows, columns = (_Lines.between(planes.size[axis], size[axis], below.device) for axis in others)
        low = torch.minimum(below_classes, above_classes)
        high = torch.maximum(below_classes, above_classes)
        for lines, dim in ((rows, 0), (columns, 1)):
            low = torch.minimum(low.index_select(dim, lines.below), low.index_select(dim, lines.above))
            high = torch.maximum(high.index_select(dim, lines.below), high.index_select(dim, lines.above))
        _settle(low, (low != high).nonzero(), (below, above), share, rows, columns)
        yield low, below.shape[-1]


class _Lines:
    """Between which lines of a grid those of another one lie, along one axis.

    ``below`` and ``above`` are indices of shape (n,), ``share`` is how much the one above counts.
    """

    def __init__(self, below: torch.Tensor, above: torch.Tensor, share: torch.Tensor) -> None:
        self.below, self.above, self.share = below, above, share

    @classmethod
    def between(cls, count: int, wanted: int, device: torch.device) -> _Lines:
        """``wanted`` lines that fill the same length as ``count`` lines do."""
        at = ((torch.arange(wanted, device=device) + 0.5) * (count / wanted) - 0.5).clamp(0, count - 1)
        below = at.floor().long()
        return cls(below, (below + 1).clamp(max=count - 1), at - below)


def _neighbouring(
    planes: Planes, wanted: int
) -> Iterator[tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor], float]]:
    """For each plane of the other grid the two that it lies between, and how much the second one counts.

    Each as probabilities (a, b, class) and most probable classes (a, b). No more than two are held.
    """
    lines = _Lines.between(planes.size[planes.axis], wanted, torch.device("cpu"))
    held: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    numbered = enumerate(planes.each)
    for index, (below, above) in enumerate(zip(lines.below.tolist(), lines.above.tolist(), strict=True)):
        held = {number: pair for number, pair in held.items() if number >= below}
        while above not in held:
            number, plane = next(numbered)
            if number >= below:
                held[number] = plane.movedim(0, -1).contiguous(), _best(plane)
        yield held[below], held[above], float(lines.share[index])


def _settle(
    labels: torch.Tensor,
    where: torch.Tensor,
    planes: tuple[torch.Tensor, torch.Tensor],
    share: float,
    rows: _Lines,
    columns: _Lines,
) -> None:
    """Write the most probable class into ``labels`` at the indices ``where``, shape (n, 2), by interpolation."""
    _, width, classes = planes[0].shape
    flat = [plane.view(-1, classes) for plane in planes]
    for a, b in (part.unbind(1) for part in where.split(max(1, AT_ONCE // classes))):
        mixed: torch.Tensor | None = None
        for plane, plane_share in zip(flat, (1 - share, share), strict=True):
            for row, row_share in ((rows.below[a], 1 - rows.share[a]), (rows.above[a], rows.share[a])):
                for column, column_share in (
                    (columns.below[b], 1 - columns.share[b]),
                    (columns.above[b], columns.share[b]),
                ):
                    corner = plane.index_select(0, row * width + column)
                    weight = (plane_share * row_share * column_share)[:, None]
                    mixed = corner.mul_(weight) if mixed is None else mixed.addcmul_(corner, weight)
        assert mixed is not None
        labels[a, b] = mixed.argmax(1).to(labels.dtype)
