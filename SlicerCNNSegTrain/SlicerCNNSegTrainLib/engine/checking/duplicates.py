"""Images that come twice: voxel for voxel, or changed a little."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

GRID = 24
"""Cells along each axis that a signature averages an image over."""

COMMON_SIGMA = 2.0
"""SD in cells of what is taken off a signature: the anatomy that all images of one region share."""

NEAR = 0.925
"""Correlation of two signatures from which on images count as near-duplicates.

Measured: images of different patients reach at most .62 (208 crops around the hippocampus, MSD Task04)
and .91 (115 head-and-neck CTs, OpenKBP). Copies with another intensity scale, noise of 20 % of the
SD, gamma .7, clipped at the 1st and 99th percentile, blurred by one voxel, or resampled to half or to
1.25 times the voxels reach at least .93 and .97. Crops and shifts of small images (.83) are not found.
"""


def voxel_hash(array: np.ndarray) -> str:
    """A checksum of shape, type and all values of an array."""
    digest = hashlib.blake2b(f"{array.shape} {array.dtype.str}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def signature(array: np.ndarray, order: Sequence[int], flips: Sequence[bool]) -> np.ndarray:
    """What an image looks like, whatever its voxels, orientation in the file and intensity scale.

    Parameters
    ----------
    array:
        One channel, shape ``(k, j, i)``, finite.
    order, flips:
        For each of R, A, S, the ijk axis that runs along it, and whether against it.

    Returns
    -------
    numpy.ndarray
        Shape ``(GRID**3,)`` float32, mean 0 and length 1; all 0 for a constant image.
    """
    along_k, along_j, along_i = (_averaging(size) for size in array.shape)
    slices = np.stack([along_j @ piece.astype(np.float64) @ along_i.T for piece in array])
    grid = np.tensordot(along_k, slices, 1).transpose(2, 1, 0).transpose(order)
    grid = np.flip(grid, tuple(axis for axis in range(3) if flips[axis]))
    detail = grid - gaussian_filter(grid, COMMON_SIGMA)
    detail -= detail.mean()
    length = np.linalg.norm(detail)
    # a constant image leaves rounding alone
    return (detail / length if length > 1e-9 * np.abs(grid).max() else 0 * detail).ravel().astype(np.float32)


def equal_groups(keys: Mapping[str, Hashable]) -> list[tuple[str, ...]]:
    """Ids that share a key, two or more at a time."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for case_id, key in keys.items():
        groups[key].append(case_id)
    return [tuple(ids) for ids in groups.values() if len(ids) > 1]


def near_groups(signatures: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Ids whose signatures correlate by ``NEAR`` or more, directly or through others, two or more at a time."""
    if not signatures:
        return []
    ids, table = list(signatures), np.stack(list(signatures.values()))
    rows, columns = [], []
    for row in range(len(ids)):
        near = row + 1 + np.flatnonzero(table[row + 1 :] @ table[row] >= NEAR)
        rows += [row] * len(near)
        columns += near.tolist()
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(ids), len(ids)))
    return equal_groups(dict(zip(ids, connected_components(graph, directed=False)[1].tolist(), strict=True)))


def _averaging(size: int) -> np.ndarray:
    """The matrix ``(GRID, size)`` that averages voxels over cells, in parts where a face cuts a voxel."""
    faces, voxels = np.linspace(0, size, GRID + 1), np.arange(size)
    shared = np.minimum(faces[1:, None], voxels + 1) - np.maximum(faces[:-1, None], voxels)
    return np.clip(shared, 0, None) * GRID / size
