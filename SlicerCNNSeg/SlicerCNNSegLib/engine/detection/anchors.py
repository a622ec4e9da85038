"""The boxes that a detector starts from, and how its maps become boxes (heavy: torch, MONAI).

Everything here is in network space: boxes are continuous voxel indices ``xyzxyz`` in which integers are voxel
centres, as ``findings/boxes.py`` has them. MONAI's own anchors are rounded to whole voxels and lie on voxels' corners;
nodules are as small as three voxels, so these are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from monai.apps.detection.utils.box_coder import BoxCoder

from ..errors import ModelError
from ..networks.detection import FIRST_STRIDE

Shape = tuple[float, float, float]
Levels = tuple[tuple[Shape, ...], ...]
"""Edges of the anchors in voxels: of each level, finest first, as many as the network has per cell."""

CODER = BoxCoder((1.0,) * 6)
SCORES, OFFSETS = "classification", "box_regression"
"""The keys of what a RetinaNet gives."""


def fit_anchors(edges: np.ndarray, levels: int, per_level: int) -> Levels:
    """Anchors for objects of these edges: in equal steps of their logarithm, from small to large ones.

    Parameters
    ----------
    edges:
        Shape ``(n, 3)``, voxels.
    levels, per_level:
        Of the network.
    """
    logs = np.log(np.asarray(edges, dtype=np.float64))
    sizes = logs.mean(axis=1)
    low, high = np.percentile(sizes, [5, 95])
    count = levels * per_level
    steps = low + (np.arange(count) + 0.5) * (high - low) / count
    shape = logs.mean(axis=0) - sizes.mean()  # flat where voxels are flat
    shapes = np.round(np.exp(steps[:, np.newaxis] + shape), 2)
    return as_levels(shapes.reshape(levels, per_level, 3).tolist())


def as_levels(plain: Sequence[Sequence[Sequence[float]]]) -> Levels:
    """Anchors from their plain form.

    Raises
    ------
    ModelError
        They are no lists of three edges above 0, as many on each level.
    """
    try:
        found = tuple(tuple((float(x), float(y), float(z)) for x, y, z in level) for level in plain)
    except (TypeError, ValueError) as error:
        raise ModelError(f"Expected anchors as lists of three edges in voxels for each level, got {plain}.") from error
    edges = [edge for level in found for shape in level for edge in shape]
    if not edges or len({len(level) for level in found}) != 1 or not min(edges) > 0:
        raise ModelError(f"Expected as many anchors on each level, with edges above 0 voxels, got {plain}.")
    return found


@lru_cache(maxsize=8)
def anchors_in(levels: Levels, window: tuple[int, int, int]) -> tuple[torch.Tensor, tuple[int, ...]]:
    """All anchors of a window, shape ``(n, 6)``, in the order of ``flat``; and how many cells each level has."""
    boxes, cells = [], []
    for number, shapes in enumerate(levels):
        stride = FIRST_STRIDE ** (number + 1)
        axes = [torch.arange(-(-size // stride), dtype=torch.float32) * stride for size in window]
        centers = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 1, 3)
        half = torch.tensor(shapes)[None] / 2
        boxes.append(torch.cat([centers - half, centers + half], dim=-1).reshape(-1, 6))
        cells.append(len(centers))
    return torch.cat(boxes), tuple(cells)


def flat(output: Mapping[str, Sequence[torch.Tensor]], per_level: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A network's maps as scores ``(batch, anchor, class)``, before the sigmoid, and offsets ``(batch, anchor, 6)``."""
    rows = []
    for key in (SCORES, OFFSETS):
        maps = [one.float().flatten(2).unflatten(1, (per_level, -1)) for one in output[key]]
        rows.append(torch.cat([one.permute(0, 3, 1, 2).flatten(1, 2) for one in maps], dim=1))
    return rows[0], rows[1]
