"""Confidence intervals of many metrics at once (heavy: scipy).

Whole groups (patients) are drawn with replacement, a case being its own group where nothing else is
known. Intervals are bias-corrected and accelerated (BCa; Efron 1987), except of calibration errors.
Those are distances, which noise makes larger, in resamples more than in the sample: BCa and
percentile intervals would lie above the truth, so theirs is the basic one (ends mirrored at the value).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ...progress import Progress, advance
from ..statistics import CONFIDENCE, RESAMPLES, Interval

BATCH_ELEMENTS = 2_000_000
"""Resamples times cases that are computed at once: about 16 MB in each of a dozen arrays."""

JACKKNIFE_PARTS = 1000
"""Above so many groups several are left out together: the acceleration is then next to nothing."""

MOST_UNDEFINED = 0.05
"""Share of resamples in which a metric may be undefined (no positive case drawn); no interval above it."""

Values = Callable[[np.ndarray], np.ndarray]
"""From weights ``(resample, case)`` to metrics ``(resample, metric)``."""

TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Resampled:
    """Metrics of the sample, of its resamples, and with one part left out.

    Parameters
    ----------
    value:
        Shape ``(metric,)``.
    drawn:
        Shape ``(resample, metric)``.
    left_out:
        Shape ``(part, metric)``.
    """

    value: np.ndarray
    drawn: np.ndarray
    left_out: np.ndarray

    def __sub__(self, other: Resampled) -> Resampled:
        """The differences, resample by resample: both must come from the same draws."""
        return Resampled(self.value - other.value, self.drawn - other.drawn, self.left_out - other.left_out)

    def interval(self, metric: int, *, basic: bool = False) -> Interval | None:
        """The 95 % interval of one metric, None where it says nothing.

        That is where the metric is undefined in the sample or in more than a few resamples, or the
        same in all of them, as a perfect score is.
        """
        value, drawn = self.value[metric], self.drawn[:, metric]
        defined = drawn[~np.isnan(drawn)]
        if np.isnan(value) or len(defined) < (1 - MOST_UNDEFINED) * len(drawn) or np.ptp(defined) < 1e-12:
            return None
        if basic:
            low, high = 2 * value - np.quantile(defined, TAILS)[::-1]
        else:
            low, high = np.quantile(defined, _bca_levels(value, defined, self.left_out[:, metric]))
        return Interval(float(low), float(high))


def _bca_levels(value: float, drawn: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """The two quantiles of the resamples that bound the interval (Efron 1987)."""
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2  # ties half: counts make many of them
    bias = special.ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    influence = np.nanmean(left_out) - left_out[~np.isnan(left_out)]
    spread = (influence**2).sum() ** 1.5
    acceleration = (influence**3).sum() / (6 * spread) if spread > 0 else 0.0
    reach = bias + special.ndtri(TAILS)
    return special.ndtr(bias + reach / (1 - acceleration * reach))


def resampled(
    values: Values, groups: np.ndarray, *, seed: int, progress: Progress, resamples: int = RESAMPLES
) -> Resampled | None:
    """Compute metrics on resamples of the groups.

    Parameters
    ----------
    values:
        Computes them from weights.
    groups:
        Number of the independent group of each case, from 0, shape ``(case,)``.
    seed:
        The same seed draws the same groups, whatever is computed.
    progress:
        Told how far it is; asked whether to stop.
    resamples:
        How many.

    Returns
    -------
    Resampled or None
        None with a single group, which says nothing about how others differ.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    count = int(groups.max()) + 1
    if count < 2:
        return None
    rng = np.random.default_rng(seed)
    part_of_group = rng.permutation(count) % JACKKNIFE_PARTS
    parts = min(count, JACKKNIFE_PARTS)
    step = max(1, BATCH_ELEMENTS // len(groups))
    drawn, left_out = [], []
    for start in range(0, resamples, step):
        advance(progress, start / resamples, "Resampling")
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))
        drawn.append(values(times[:, groups].astype(np.float64)))
    for start in range(0, parts, step):
        absent = np.arange(start, min(start + step, parts))[:, None]
        left_out.append(values((part_of_group[groups] != absent).astype(np.float64)))
    whole = values(np.ones((1, len(groups))))[0]
    return Resampled(whole, np.concatenate(drawn), np.concatenate(left_out))


def share_interval(successes: int, trials: int) -> Interval | None:
    """The 95 % interval of a share of independent cases (Wilson 1927); None without any."""
    if trials == 0:
        return None
    interval = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(interval.low), float(interval.high))
