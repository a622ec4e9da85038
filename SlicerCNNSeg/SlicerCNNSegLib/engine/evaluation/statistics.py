"""Bootstrap confidence intervals of a mean and of a paired difference (heavy: scipy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..errors import InputError

CONFIDENCE = 0.95
RESAMPLES = 9999
"""Resamples of the bootstrap: the interval's ends then move by about 1 % of its width with the seed."""


class Interval(NamedTuple):
    """The two ends of a confidence interval."""

    low: float
    high: float


def mean_interval(values: Sequence[float] | np.ndarray, *, seed: int = 0) -> Interval | None:
    """The 95 % bootstrap confidence interval of the mean.

    Bias-corrected and accelerated (BCa; Efron 1987), as ``scipy.stats.bootstrap`` computes it: it
    stays right for the skewed samples that Dice and distances are.

    Parameters
    ----------
    values:
        Independent, finite values: one per case, not several of one patient.
    seed:
        The same seed gives the same interval.

    Returns
    -------
    Interval or None
        None for fewer than two values, which say nothing about their spread. All values equal
        give an interval of no width.

    Raises
    ------
    InputError
        A value is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        raise InputError("Expected finite values for a confidence interval; leave undefined ones out first.")
    if sample.size < 2:
        return None
    if np.ptp(sample) == 0:  # BCa divides by the spread
        return Interval(float(sample[0]), float(sample[0]))
    result = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        batch=1000,  # resamples held in memory at once
        rng=np.random.default_rng(seed),
    )
    return Interval(float(result.confidence_interval.low), float(result.confidence_interval.high))


def paired_difference_interval(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The 95 % bootstrap confidence interval of the mean of ``first - second``, case by case.

    Cases differ far more from each other than two good models do, so models are compared on the
    differences within each case. See ``mean_interval`` for the method.

    Raises
    ------
    InputError
        The two are not of the same length, or a value is not finite.
    """
    if len(first) != len(second):
        raise InputError(
            f"Expected one pair of values per case, got {len(first)} and {len(second)}; leave unpaired cases out."
        )
    return mean_interval(np.subtract(first, second, dtype=np.float64), seed=seed)
