"""Windows without contrast, as outside of a body whose surroundings are clipped: a network need see one of each.

All windows are of one size, so that two which hold the same value everywhere are the same to it, exactly.
"""

from __future__ import annotations

import torch

from .grid import Grid, Triple


def stand_ins(image: torch.Tensor, grid: Grid) -> dict[Triple, Triple]:
    """For windows without contrast an earlier one with the same values, by their first voxels (x, y, z).

    Parameters
    ----------
    image:
        ``(channel, x, y, z)``, padded to the grid's size. Each channel may have a value of its own.
    """
    found: dict[Triple, Triple] = {}
    earliest: dict[tuple[float, ...], Triple] = {}
    for start in grid.windows():
        window = grid.cut(image, start)
        corner = window[:, :1, :1, :1]
        if torch.equal(window[:, -1:, -1:, -1:], corner) and bool((window == corner).all()):
            one = earliest.setdefault(tuple(corner.flatten().tolist()), start)
            if one != start:
                found[start] = one
    return found
