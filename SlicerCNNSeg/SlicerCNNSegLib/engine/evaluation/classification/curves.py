"""The points of ROC and precision-recall curves."""

from __future__ import annotations

import numpy as np


def roc_curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 - specificity and sensitivity as the threshold falls, from (0, 0) to (1, 1).

    Parameters
    ----------
    truth:
        Booleans, shape ``(case,)``, not all the same.
    scores:
        Higher for positive cases, shape ``(case,)``.
    """
    true_positive, false_positive = _counts(truth, scores)
    return np.r_[0, false_positive / (~truth).sum()], np.r_[0, true_positive / truth.sum()]


def precision_recall_curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision as the threshold falls, from recall 0 on; parameters as of ``roc_curve``.

    Of thresholds with the same recall the highest is kept, which has the best precision and alone
    counts in the average precision; the precision at recall 0 is set to that of the next point.
    """
    true_positive, false_positive = _counts(truth, scores)
    first = np.flatnonzero(np.diff(true_positive, prepend=0))
    true_positive, false_positive = true_positive[first], false_positive[first]
    precision = true_positive / (true_positive + false_positive)
    return np.r_[0, true_positive / truth.sum()], np.r_[precision[0], precision]


def _counts(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # of equal scores
    true_positive = truth[order].cumsum()[last]
    return true_positive, last + 1 - true_positive
