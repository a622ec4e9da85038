"""Average precision of boxes at several overlaps (heavy: MONAI).

MONAI's COCO evaluator, which is nnDetection's: marks from the highest probability on take the nodule
of their scan that they overlap most and that is still free, when the IoU is at least the threshold;
the precision, made to fall monotonically, is averaged over 101 recalls of all scans together. Boxes
are parallel to the world axes.

LUNA16's protocol has no boxes; of its rules, those that can be carried over are: marks over the limit
of a scan and marks on excluded findings alone are left out (excluded findings mostly have no size, so
that no overlap can be asked for), and a nodule of unknown diameter is 10 mm wide.
"""

from __future__ import annotations

import numpy as np
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou

from .luna import MAX_MARKS, Judgement, Verdict, radius_mm
from .tables import Points

IOU_RANGE = (0.1, 0.5, 0.05)
"""First, last and step of the IoU thresholds: nnDetection's for nodules, whose boxes are a few voxels wide."""


def box_average_precision(judgement: Judgement, included: Points, marks: Points) -> dict[str, float] | None:
    """The average precision at each IoU threshold, and their mean.

    Parameters
    ----------
    judgement:
        Of these nodules and marks.
    included:
        The nodules; a cube of their diameter where the table has no sizes.
    marks:
        What was judged.

    Returns
    -------
    dict or None
        From ``"0.10"``, ``"0.15"`` ... ``"0.50"`` and ``"mean"`` to the average precision, 0..1. None
        when the marks have no sizes.
    """
    if marks.size_mm is None:
        return None
    counted = np.isin(judgement.verdict, (Verdict.HIT, Verdict.FALSE_POSITIVE))
    mark_boxes, nodule_boxes = _corners(marks.center_mm, marks.size_mm), _corners(included.center_mm, _sizes(included))
    pred_boxes, scores, gt_boxes = [], [], []
    for scan in range(judgement.scans):
        here = counted & (judgement.mark_scan == scan)
        pred_boxes.append(mark_boxes[here])
        scores.append(marks.value[here])
        gt_boxes.append(nodule_boxes[judgement.nodule_scan == scan])
    thresholds = np.linspace(*IOU_RANGE[:2], round((IOU_RANGE[1] - IOU_RANGE[0]) / IOU_RANGE[2]) + 1)
    metric = COCOMetric(
        ("nodule",), tuple(thresholds), IOU_RANGE, max_detection=(MAX_MARKS,), per_class=False, verbose=False
    )
    matches = matching_batch(
        iou_fn=_overlap,
        iou_thresholds=metric.get_iou_thresholds(),
        pred_boxes=pred_boxes,
        pred_classes=[np.zeros(len(boxes), dtype=int) for boxes in pred_boxes],
        pred_scores=scores,
        gt_boxes=gt_boxes,
        gt_classes=[np.zeros(len(boxes), dtype=int) for boxes in gt_boxes],
        max_detections=MAX_MARKS,
    )
    values, _ = metric(matches)
    precisions = {f"{t:.2f}": values[f"AP_IoU_{t:.2f}_MaxDet_{MAX_MARKS}"] for t in thresholds}
    return {**precisions, "mean": float(np.mean(list(precisions.values())))}


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of every box of ``first`` with every one of ``second``."""
    return np.asarray(box_iou(first, second))


def _sizes(findings: Points) -> np.ndarray:
    """Edges in mm of the findings' boxes, shape ``(n, 3)``."""
    if findings.size_mm is not None:
        return findings.size_mm
    return np.repeat(2 * radius_mm(findings.value)[:, np.newaxis], 3, axis=1)


def _corners(center_mm: np.ndarray, size_mm: np.ndarray) -> np.ndarray:
    """Shape ``(n, 6)``: lowest x, y, z, then highest x, y, z, in mm."""
    return np.concatenate((center_mm - size_mm / 2, center_mm + size_mm / 2), axis=1)
