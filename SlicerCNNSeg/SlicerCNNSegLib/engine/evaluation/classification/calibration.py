"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEFAULT_BINS = 10
"""Bins of equal width, as in Naeini et al. 2015; with few cases more bins raise the error by chance."""


CHANCE_TRIALS = 2000
CHANCE_BATCH = 5_000_000
"""Trials times cases that are simulated at once: 40 MB."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The cases whose probability is above ``low`` and at most ``high`` (the first bin also holds 0).

    Parameters
    ----------
    low, high:
        The bin's ends.
    cases, positives:
        How many cases, and of how many the outcome is true.
    probability:
        Mean of the probabilities, None without cases.
    """

    low: float
    high: float
    cases: int
    positives: int
    probability: float | None


def bin_of(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each probability, 0 to ``bins - 1``; a bin holds its upper end, the first one also 0."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, bins - 1)


def reliability_bins(outcomes: np.ndarray, probabilities: np.ndarray, bins: int = DEFAULT_BINS) -> list[ReliabilityBin]:
    """What a reliability diagram shows.

    Parameters
    ----------
    outcomes, probabilities:
        Of each case, shape ``(case,)``.
    bins:
        Bins of equal width between 0 and 1.
    """
    found = bin_of(probabilities, bins)
    edges = np.linspace(0, 1, bins + 1)
    members = [found == n for n in range(bins)]
    return [
        ReliabilityBin(
            low=float(edges[n]),
            high=float(edges[n + 1]),
            cases=int(inside.sum()),
            positives=int(outcomes[inside].sum()),
            probability=float(probabilities[inside].mean()) if inside.any() else None,
        )
        for n, inside in enumerate(members)
    ]


def gaps(outcomes: np.ndarray, probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Each case's outcome less its probability, in the column of its bin: shape ``(case, bin)``."""
    placed = np.zeros((len(outcomes), bins))
    placed[np.arange(len(outcomes)), bin_of(probabilities, bins)] = np.subtract(
        outcomes, probabilities, dtype=np.float64
    )
    return placed


def expected_calibration_error(outcomes: np.ndarray, probabilities: np.ndarray, bins: int = DEFAULT_BINS) -> float:
    """Mean over cases of the distance between the shares and the mean probabilities of their bins.

    Naeini et al. 2015 (doi:10.1609/aaai.v29i1.9602). Shapes ``(case,)``.
    """
    return float(np.abs(gaps(outcomes, probabilities, bins).sum(axis=0)).sum() / len(outcomes))


def error_by_chance(
    probabilities: np.ndarray, bins: int = DEFAULT_BINS, *, quantile: float = 0.975, seed: int = 0
) -> float:
    """How large the calibration error gets by chance where every probability is exactly right.

    Outcomes are drawn with the given probabilities (consistency resampling, Broecker and Smith 2007,
    doi:10.1175/WAF993.1). An error below this does not show that the probabilities are wrong.

    Parameters
    ----------
    probabilities:
        Shape ``(case,)``.
    bins:
        Bins of equal width between 0 and 1.
    quantile:
        Of the errors of all trials.
    seed:
        The same seed gives the same outcomes.
    """
    rng = np.random.default_rng(seed)
    cases = len(probabilities)
    members = np.eye(bins)[bin_of(probabilities, bins)]
    step = max(1, CHANCE_BATCH // cases)
    errors = []
    for start in range(0, CHANCE_TRIALS, step):
        outcomes = rng.random((min(step, CHANCE_TRIALS - start), cases)) < probabilities
        errors.append(np.abs((outcomes - probabilities) @ members).sum(axis=1) / cases)
    return float(np.quantile(np.concatenate(errors), quantile))
