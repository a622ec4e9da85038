"""What is measured on a classifier, on all cases or on many resamples of them at once.

Every metric is a function of how often each case counts, so that one definition serves the value
itself (each case once) and thousands of resamples (each case as often as it was drawn), which are
computed together as matrix products.

Of each class against the rest (in a binary table of the positive class alone):

=====================  ======================================================================
``sensitivity``        TP / (TP + FN), also called recall
``specificity``        TN / (TN + FP)
``ppv``, ``npv``       TP / (TP + FP), also called precision, and TN / (TN + FN)
``f1``                 2 TP / (2 TP + FP + FN)
``balanced_accuracy``  mean of sensitivity and specificity
``kappa``              Cohen's kappa of the decisions against the truth
``auc``                area under the ROC curve; ties count half (Mann-Whitney)
``pr_auc``             average precision: precision at each threshold, weighted by the recall gained
``ece``                expected calibration error of the class's probability, in bins of equal width
``brier``              mean squared difference of the class's probability and its truth (0..1)
=====================  ======================================================================

Overall: ``accuracy`` (multi-label: all of a case's labels right); ``balanced_accuracy`` (multi-class:
mean sensitivity); ``kappa``, and where there is a second reader ``kappa_reader`` (decisions against the
reader) and ``kappa_reader_truth`` (reader against truth), over the cases that were read; ``f1``,
``auc`` and ``pr_auc`` as means over classes, each counting the same; ``ece`` (multi-class: of the
highest probability, Guo et al. 2017, arXiv:1706.04599); ``brier`` (multi-class: summed over classes,
0..2, Brier 1950). Multi-label tables have means over classes in all but the accuracy. Classes that all
or none of the cases have are left out of means, but not of those of ``ece`` and ``brier``.
"""

from __future__ import annotations

import numpy as np

from .calibration import gaps
from .tables import MULTI_CLASS, MULTI_LABEL, ClassificationTable

OVERALL = ""
"""The block of metrics over all classes; the other blocks have a class's name."""

OVERALL_METRICS = ("accuracy", "balanced_accuracy", "f1", "auc", "pr_auc", "kappa", "ece", "brier")
READER_METRICS = ("kappa_reader", "kappa_reader_truth")
CLASS_METRICS = (
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "balanced_accuracy",
    "kappa",
    "auc",
    "pr_auc",
    "ece",
    "brier",
)
LOWER_IS_BETTER = ("ece", "brier")

Key = tuple[str, str]
"""A metric's block and name."""


def decisions(table: ClassificationTable, threshold: float) -> np.ndarray:
    """What is decided for each case: booleans of shape ``(case, target)``.

    The most probable class in a multi-class table (the first of equal ones); elsewhere each target
    whose probability is at least the threshold.
    """
    if table.kind == MULTI_CLASS:
        decided = np.zeros(table.truth.shape, dtype=bool)
        decided[np.arange(len(decided)), table.probabilities.argmax(axis=1)] = True
        return decided
    return table.probabilities >= threshold


def kappa(first: np.ndarray, second: np.ndarray, weights: np.ndarray, *, one_of: bool) -> np.ndarray:
    """Cohen's kappa (1960) between two sets of decisions.

    Parameters
    ----------
    first, second:
        Booleans of shape ``(case, target)``.
    weights:
        How often each case counts, shape ``(resample, case)``.
    one_of:
        Whether each case has exactly one of the targets: one kappa. Otherwise one of each target.

    Returns
    -------
    ndarray
        Shape ``(resample, 1)`` or ``(resample, target)``; NaN where chance alone explains everything.
    """
    total = weights.sum(axis=1, keepdims=True)
    shares = [share(weights @ decided, total) for decided in (first, second)]
    agreed = first == second
    if one_of:
        observed = share(weights @ agreed.all(axis=1, keepdims=True), total)
        expected = (shares[0] * shares[1]).sum(axis=1, keepdims=True)
    else:
        observed = share(weights @ agreed, total)
        expected = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    # rounding may leave 1 - expected a hair above 0 where both sides have one class only
    return share(observed - expected, np.where(1 - expected < 1e-12, 0, 1 - expected))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where the whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


class Metrics:
    """All metrics of one table.

    Parameters
    ----------
    table:
        Truth and probabilities.
    threshold:
        From which probability on a target is decided for, in binary and multi-label tables.
    bins:
        Of the calibration error.
    """

    def __init__(self, table: ClassificationTable, *, threshold: float, bins: int) -> None:
        self.table = table
        self.decided = decisions(table, threshold)
        self.right = (self.decided == table.truth).all(axis=1)
        self._overall_names = OVERALL_METRICS + (READER_METRICS if table.reader is not None else ())
        self.keys: tuple[Key, ...] = (
            *((OVERALL, name) for name in self._overall_names),
            *((target, name) for target in table.targets for name in CLASS_METRICS),
        )
        outcomes = table.truth.astype(np.float64)
        self._judged = table.truth.any(axis=0) & ~table.truth.all(axis=0)
        self._rankings = [_Ranking(*column) for column in zip(outcomes.T, table.probabilities.T, strict=True)]
        self._gaps = [gaps(*column, bins) for column in zip(outcomes.T, table.probabilities.T, strict=True)]
        self._squares = (table.probabilities - outcomes) ** 2
        self._top_gaps = gaps(self.right, table.probabilities.max(axis=1), bins)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The metrics, shape ``(resample, key)``, NaN where undefined.

        Parameters
        ----------
        weights:
            How often each case counts, shape ``(resample, case)``, float64.
        """
        by_class = self._by_class(weights)
        overall = self._overall(weights, by_class)
        columns = [overall[name] for name in self._overall_names]
        columns += [by_class[name][:, n] for n in range(len(self.table.targets)) for name in CLASS_METRICS]
        return np.stack(columns, axis=1)

    def _by_class(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric of each target, shape ``(resample, target)``."""
        truth, decided = self.table.truth, self.decided
        true_positive, false_positive = weights @ (truth & decided), weights @ (~truth & decided)
        false_negative, true_negative = weights @ (truth & ~decided), weights @ (~truth & ~decided)
        total = weights.sum(axis=1, keepdims=True)
        sensitivity = share(true_positive, true_positive + false_negative)
        specificity = share(true_negative, true_negative + false_positive)
        areas = [ranking.areas(weights) for ranking in self._rankings]
        return {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": share(true_positive, true_positive + false_positive),
            "npv": share(true_negative, true_negative + false_negative),
            "f1": share(2 * true_positive, 2 * true_positive + false_positive + false_negative),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "kappa": kappa(truth, decided, weights, one_of=False),
            "auc": np.stack([auc for auc, _ in areas], axis=1),
            "pr_auc": np.stack([pr_auc for _, pr_auc in areas], axis=1),
            "ece": np.stack([_calibration_error(placed, weights) for placed in self._gaps], axis=1),
            "brier": share(weights @ self._squares, total),
        }

    def _overall(self, weights: np.ndarray, by_class: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Each metric over all targets, shape ``(resample,)``."""
        total = weights.sum(axis=1)
        overall = {name: _mean(by_class[name][:, self._judged]) for name in OVERALL_METRICS if name in by_class}
        overall["accuracy"] = share(weights @ self.right, total)
        if self.table.reader is not None:
            read, reader = self.table.read, self.table.reader
            overall["kappa_reader"] = self._kappa(self.decided[read], reader[read], weights[:, read])
            overall["kappa_reader_truth"] = self._kappa(reader[read], self.table.truth[read], weights[:, read])
        if self.table.kind == MULTI_LABEL:  # calibration of a class needs no other class
            return {**overall, **{name: by_class[name].mean(axis=1) for name in LOWER_IS_BETTER}}
        overall["brier"] = by_class["brier"].sum(axis=1)
        if self.table.kind == MULTI_CLASS:
            occurring = self.table.truth.any(axis=0)
            overall["balanced_accuracy"] = _mean(by_class["sensitivity"][:, occurring])
            overall["kappa"] = self._kappa(self.decided, self.table.truth, weights)
            overall["ece"] = _calibration_error(self._top_gaps, weights)
        return overall

    def _kappa(self, first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Kappa over all classes, in a multi-label table the mean over labels: shape ``(resample,)``."""
        if self.table.kind == MULTI_CLASS:
            return kappa(first, second, weights, one_of=True)[:, 0]
        return _mean(kappa(first, second, weights, one_of=False)[:, self._judged])


class _Ranking:
    """The cases from the highest score down, for the areas under two curves.

    Parameters
    ----------
    outcomes:
        1 for positive cases, else 0, shape ``(case,)``.
    scores:
        Shape ``(case,)``.
    """

    def __init__(self, outcomes: np.ndarray, scores: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._positive = outcomes[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # equal scores are one threshold

    def areas(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AUC and average precision, each of shape ``(resample,)``."""
        ranked = weights[:, self._order]
        positive = np.add.reduceat(ranked * self._positive, self._starts, axis=1)
        negative = np.add.reduceat(ranked * (1 - self._positive), self._starts, axis=1)
        positives, negatives = positive.cumsum(axis=1), negative.cumsum(axis=1)
        auc = share((negative * (positives - positive / 2)).sum(axis=1), positives[:, -1] * negatives[:, -1])
        found = positives + negatives
        precision = np.divide(positives, found, out=np.zeros_like(found), where=found != 0)
        return auc, share((positive * precision).sum(axis=1), positives[:, -1])


def _calibration_error(placed: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over cases of the gap between outcomes and probabilities in their bin, shape ``(resample,)``."""
    return share(np.abs(weights @ placed).sum(axis=1), weights.sum(axis=1))


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over columns, NaN without any."""
    return values.mean(axis=1) if values.shape[1] else np.full(len(values), np.nan)
