"""Whether a scan's highest probability tells scans with nodules from those without (heavy: torch, MONAI).

A scan is positive when it has a nodule. Its score is the highest probability of its marks that count:
marks over the limit and marks on excluded findings alone do not. A scan without such marks scores
below all others.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.metrics import compute_average_precision, compute_roc_auc

from .luna import Judgement, Verdict


def scan_level_measures(judgement: Judgement) -> dict[str, float | int | None]:
    """Average precision and area under the ROC curve over scans.

    Returns
    -------
    dict
        ``scans``, ``positive_scans``, ``average_precision`` and ``auroc``; the last two are None when
        all scans are positive.
    """
    positive = np.bincount(judgement.nodule_scan[judgement.listed], minlength=judgement.scans) > 0
    counted = np.isin(judgement.verdict, (Verdict.HIT, Verdict.FALSE_POSITIVE))
    score = np.full(judgement.scans, -np.inf)
    np.maximum.at(score, judgement.mark_scan[counted], judgement.mark_probability[counted])
    measures: dict[str, float | int | None] = {
        "scans": judgement.scans,
        "positive_scans": int(positive.sum()),
        "average_precision": None,
        "auroc": None,
    }
    if not positive.all():
        scores, truth = torch.from_numpy(score), torch.from_numpy(positive.astype(np.int64))
        measures["average_precision"] = np.asarray(compute_average_precision(scores, truth)).item()
        measures["auroc"] = np.asarray(compute_roc_auc(scores, truth)).item()
    return measures
