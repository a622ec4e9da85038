"""Boxes between an image's grid and network space (heavy).

Both are continuous indices whose integers are voxel centres; axes are reordered, reversed and scaled about the image's
outer faces, as ``preprocess.Placement`` does with voxels.
"""

from __future__ import annotations

import numpy as np

from ..preprocess import Placement


def spacing_of(placement: Placement) -> np.ndarray:
    """Voxel size of network space along its axes, mm, shape (3,)."""
    return placement.source.spacing_mm[list(placement.order)] * placement.oriented_size / placement.size


def boxes_to_network(boxes: np.ndarray, placement: Placement) -> np.ndarray:
    """Boxes ``xyzxyz`` in the image's i, j, k as boxes in network space, shape (n, 6)."""
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 3)[..., list(placement.order)]
    oriented = np.array(placement.oriented_size)
    corners = np.where(placement.flips, oriented - 1 - corners, corners)
    corners = (corners + 0.5) * np.array(placement.size) / oriented - 0.5
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def boxes_from_network(boxes: np.ndarray, placement: Placement) -> np.ndarray:
    """The way back of ``boxes_to_network``, shape (n, 6)."""
    oriented = np.array(placement.oriented_size)
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 3)
    corners = (corners + 0.5) * oriented / np.array(placement.size) - 0.5
    corners = np.where(placement.flips, oriented - 1 - corners, corners)
    corners = corners[..., np.argsort(placement.order)]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
