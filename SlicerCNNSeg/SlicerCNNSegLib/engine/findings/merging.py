"""Overlap of boxes, and many boxes of one nodule made one (heavy: MONAI).

Sliding windows, mirrored passes and several networks each find a nodule again. Boxes that come from windows of one
pass are cut down to the best (non-maximum suppression); those of several passes or networks, which disagree about the
place, are averaged (weighted boxes fusion).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.data.box_utils import box_iou, non_max_suppression

from ..errors import GeometryError, SettingsError
from .boxes import OrientedBox


def overlaps(first: Sequence[OrientedBox], second: Sequence[OrientedBox]) -> np.ndarray:
    """Intersection over union, by volume in mm3, of every box of ``first`` with every one of ``second``.

    Returns
    -------
    numpy.ndarray
        Shape ``(len(first), len(second))``, 0..1.

    Raises
    ------
    GeometryError
        The boxes are written along different axes; ``OrientedBox.along`` writes them along one grid's.
    """
    if not first or not second:
        return np.zeros((len(first), len(second)))
    reference = first[0]
    if not all(box.has_axes_of(reference) for box in (*first, *second)):
        raise GeometryError("Expected boxes along the same axes to compare them; write them along one grid first.")
    # in mm along the common axes; a shear changes all volumes alike, and so no ratio
    return np.asarray(box_iou(_corners(first), _corners(second)))


def best_of_windows(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, *, threshold: float, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Which boxes of overlapping windows stay: within each class, none overlaps a better one by over ``threshold``.

    Parameters
    ----------
    boxes:
        Shape (n, 6), voxel indices ``xyzxyz``.
    scores, classes:
        Shape (n,).
    threshold:
        Intersection over union from 0 to 1.
    spacing_mm:
        Of the grid.

    Returns
    -------
    numpy.ndarray
        Indices of the boxes that stay, the best first.

    Raises
    ------
    SettingsError
        The threshold is not within 0 and 1.
    """
    _check_threshold(threshold)
    boxes_mm = np.asarray(boxes, dtype=np.float64).reshape(-1, 6) * np.tile(spacing_mm, 2)
    scores, classes = np.asarray(scores, dtype=np.float64), np.asarray(classes)
    kept = []
    for value in np.unique(classes):
        of_class = np.flatnonzero(classes == value)
        kept.append(of_class[np.asarray(non_max_suppression(boxes_mm[of_class], scores[of_class], threshold))])
    indices = np.concatenate(kept) if kept else np.empty(0, dtype=np.intp)
    return indices[np.argsort(-scores[indices], kind="stable")]


def fused(
    passes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    threshold: float,
    spacing_mm: Sequence[float],
    weights: Sequence[float] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, doi:10.1016/j.imavis.2021.104117).

    Boxes of all passes, the best first, join the fused box of their class that they overlap most by over
    ``threshold``, or begin one. A fused box has the mean corners of its members, weighted by their scores, and their
    mean score (weighted by their passes), times the share of the passes that found it: the paper's ``min(T, N) / N``.

    Parameters
    ----------
    passes:
        Of each: boxes ``xyzxyz`` of shape (n, 6) in voxel indices of one grid, scores and classes of shape (n,).
    threshold:
        Intersection over union from 0 to 1.
    spacing_mm:
        Of the grid.
    weights:
        How much each pass counts; all alike without.

    Returns
    -------
    tuple of numpy.ndarray
        Boxes, scores and classes, the best first.

    Raises
    ------
    SettingsError
        The threshold is not within 0 and 1, or there is not one weight above 0 for each pass.
    """
    _check_threshold(threshold)
    counts = np.ones(len(passes)) if weights is None else np.asarray(weights, dtype=np.float64)
    if counts.shape != (len(passes),) or not (counts > 0).all():
        raise SettingsError(f"Expected a weight above 0 for each of {len(passes)} passes, got {list(counts)}.")
    scale = np.tile(np.asarray(spacing_mm, dtype=np.float64), 2)
    weight = np.repeat(counts, [len(scores) for _, scores, _ in passes])
    boxes, scores, classes = (
        np.concatenate([np.asarray(part[n]).reshape(-1, *shape) for part in passes])
        if passes
        else np.empty((0, *shape))
        for n, shape in enumerate([(6,), (), ()])
    )
    members: list[list[int]] = []
    centers = np.empty((0, 6))
    for index in np.argsort(-scores * weight, kind="stable"):
        cluster = _matching(
            boxes[index] * scale, centers * scale, classes[[m[0] for m in members]] == classes[index], threshold
        )
        if cluster is None:
            members.append([index])
            centers = np.concatenate([centers, boxes[index : index + 1]])
        else:
            members[cluster].append(index)
            trust = (scores * weight)[members[cluster]]
            centers[cluster] = np.average(boxes[members[cluster]], axis=0, weights=trust)
    share = [min(weight[m].sum(), counts.sum()) / counts.sum() for m in members]
    means = [np.average(scores[m], weights=weight[m]) for m in members]
    merged = np.array(means) * np.array(share)
    order = np.argsort(-merged, kind="stable")
    return centers[order], merged[order], classes[[m[0] for m in members]][order]


def _matching(box: np.ndarray, fused_boxes: np.ndarray, same_class: np.ndarray, threshold: float) -> int | None:
    """The fused box of the same class that this one overlaps most, over the threshold."""
    if not same_class.any():
        return None
    overlap = np.where(same_class, np.asarray(box_iou(box[np.newaxis], fused_boxes))[0], -1.0)
    best = int(np.argmax(overlap))
    return best if overlap[best] > threshold else None


def _corners(boxes: Sequence[OrientedBox]) -> np.ndarray:
    """Low and high ends in mm along the boxes' common axes, shape (n, 6)."""
    centers = np.array([box.center_ras_mm for box in boxes]) @ np.linalg.inv(boxes[0].axes).T
    sizes = np.array([box.size_mm for box in boxes])
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise SettingsError(f"Expected an overlap (IoU) within 0 and 1, got {threshold}.")
