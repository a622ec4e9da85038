"""The AUC's standard error and the comparison of AUCs on the same cases (heavy: scipy).

DeLong, DeLong and Clarke-Pearson 1988 (doi:10.2307/2531595), by midranks as Sun and Xu 2014
(doi:10.1109/LSP.2014.2337313): O(n log n) instead of one comparison for each pair of cases. Where
several cases belong to one patient, the components are summed over patients first: Obuchowski 1997
(doi:10.2307/2533958).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..statistics import CONFIDENCE, Interval

FEWEST = 2
"""Positive, and negative, cases that a variance needs; as many patients."""


@dataclass(frozen=True)
class Auc:
    """Areas under the ROC curves of several scores for the same cases.

    Parameters
    ----------
    values:
        The areas, shape ``(score,)``.
    covariance:
        Of the areas, shape ``(score, score)``; None with fewer than two positive or negative cases.
    """

    values: np.ndarray
    covariance: np.ndarray | None

    def interval(self, score: int = 0) -> Interval | None:
        """The 95 % confidence interval (normal, kept within 0..1); None where the variance is 0 or unknown.

        A perfect AUC has a variance of 0, which says nothing about how sure it is.
        """
        if self.covariance is None or self.covariance[score, score] <= 0:
            return None
        reach = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(self.covariance[score, score])
        low, high = np.clip([self.values[score] - reach, self.values[score] + reach], 0, 1)
        return Interval(float(low), float(high))


@dataclass(frozen=True)
class AucDifference:
    """The first score's AUC less the second's on the same cases, and whether chance explains it (two-sided)."""

    difference: float
    standard_error: float
    p: float


def auc_with_covariance(truth: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None) -> Auc:
    """The AUCs and how they vary and covary.

    Parameters
    ----------
    truth:
        Booleans, shape ``(case,)``, not all the same.
    scores:
        Higher for positive cases, shape ``(score, case)``.
    groups:
        Number of the patient of each case, shape ``(case,)``; None when each case is independent.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    components = _components(truth, scores)
    values = components[:, truth].mean(axis=1)
    if min(positives, negatives) < FEWEST:
        return Auc(values, None)
    if groups is None:
        covariance = np.atleast_2d(np.cov(components[:, truth])) / positives
        covariance = covariance + np.atleast_2d(np.cov(components[:, ~truth])) / negatives
        return Auc(values, covariance)
    count = int(groups.max()) + 1
    if count < FEWEST:
        return Auc(values, None)
    # each case's part in the area's deviation, summed over patients: S10, S01 and S11 of the paper at once
    parts = (components - values[:, None]) / np.where(truth, positives, negatives)
    by_group = np.stack([np.bincount(groups, row, minlength=count) for row in parts])
    return Auc(values, count / (count - 1) * by_group @ by_group.T)


def auc_difference(auc: Auc) -> AucDifference | None:
    """Compare the first two scores of ``auc``; None where their difference has no variance.

    Two scores that rank all cases alike differ by 0, with p = 1.
    """
    if auc.covariance is None:
        return None
    difference = float(auc.values[0] - auc.values[1])
    variance = float(np.array([1, -1]) @ auc.covariance[:2, :2] @ np.array([1, -1]))
    if variance <= np.finfo(float).eps:
        return AucDifference(0.0, 0.0, 1.0) if abs(difference) < 1e-12 else None
    error = variance**0.5
    return AucDifference(difference, error, float(2 * stats.norm.sf(abs(difference) / error)))


def _components(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Structural components, shape ``(score, case)``.

    Of a positive case the share of negative cases below it, of a negative case the share of positive
    cases above it; ties count half.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    among_all = stats.rankdata(scores, axis=1)
    components = np.empty(scores.shape)
    components[:, truth] = (among_all[:, truth] - stats.rankdata(scores[:, truth], axis=1)) / negatives
    components[:, ~truth] = 1 - (among_all[:, ~truth] - stats.rankdata(scores[:, ~truth], axis=1)) / positives
    return components
