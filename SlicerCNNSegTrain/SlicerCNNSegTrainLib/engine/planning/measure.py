"""What a plan has to know of a case beyond what the data check measures, while its voxels are in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SAMPLED_VOXELS = 10_000
"""Labelled voxels per case whose intensities are kept, as many as nnU-Net takes."""


def foreground_sample(image: np.ndarray, labelmap: np.ndarray) -> np.ndarray:
    """Intensities at up to ``SAMPLED_VOXELS`` labelled voxels, evenly strided; shape (channels, n), float32.

    Parameters
    ----------
    image, labelmap:
        ``(channel, k, j, i)`` and ``(k, j, i)``, on one grid.
    """
    places = np.flatnonzero(labelmap)
    places = places[:: max(1, -(-len(places) // SAMPLED_VOXELS))]
    return np.stack([channel.reshape(-1)[places].astype(np.float32) for channel in image])


def filled_share(image: np.ndarray) -> float:
    """Share of the grid inside the smallest box that holds every voxel that is not 0 in all channels."""
    filled = (image != 0).any(axis=0)
    if not filled.any():
        return 0.0
    sides = [np.flatnonzero(filled.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    return float(np.prod([side[-1] - side[0] + 1 for side in sides]) / filled.size)


def chords_mm(labelmap: np.ndarray, spacing_mm: np.ndarray, order: Sequence[int]) -> dict[int, np.ndarray]:
    """Mean chord of each structure along R, A, S, mm: label value to shape (3,).

    A chord is a straight run of voxels of one value; their mean length says how thick a structure is
    along an axis, also where it winds (mean intercept length, Underwood, 1970).

    Parameters
    ----------
    labelmap:
        ``(k, j, i)``.
    spacing_mm:
        Along R, A, S.
    order:
        R, A, S are the ijk axes ``order[0]``, ``order[1]``, ``order[2]``.
    """
    sides = [np.flatnonzero((labelmap != 0).any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if not len(sides[0]):
        return {}
    box = labelmap[tuple(slice(side[0], side[-1] + 1) for side in sides)]
    voxels = np.bincount(box.reshape(-1))
    runs = np.ones((3, len(voxels)))
    for axis in range(3):
        along = np.moveaxis(box, 2 - order[axis], 0)
        begins = along[1:][along[1:] != along[:-1]]
        runs[axis] = np.bincount(along[0].reshape(-1), minlength=len(voxels))
        runs[axis] += np.bincount(begins, minlength=len(voxels))
    return {int(value): voxels[value] / runs[:, value] * spacing_mm for value in np.flatnonzero(voxels) if value}
