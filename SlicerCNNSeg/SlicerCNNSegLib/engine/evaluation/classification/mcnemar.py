"""Whether two models are right equally often on the same cases: McNemar's exact test (heavy: scipy)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal


@dataclass(frozen=True)
class McNemar:
    """In how many cases both, one or none of two models are right, and the two-sided exact p-value."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> McNemar:
    """Compare two models' right and wrong decisions.

    Under the null hypothesis the models' answers could be swapped in every patient as a whole. The
    p-value is the share of all such swaps, each as likely as any other, after which the numbers of
    right answers differ by at least as much as they do. With one case for each patient this is
    McNemar's exact test (the binomial test of the cases in which one model alone is right).

    Parameters
    ----------
    first, second:
        Whether each model is right, booleans of shape ``(case,)``.
    groups:
        Number of the patient of each case, from 0, shape ``(case,)``.
    """
    gained = np.bincount(groups, first.astype(int) - second.astype(int)).astype(int)
    likelihood = np.ones(1)  # of each possible sum of the gains that came first, from the smallest on
    for gain in np.abs(gained[gained != 0]):
        swapped = np.zeros(2 * gain + 1)
        swapped[[0, -1]] = 0.5
        likelihood = signal.convolve(likelihood, swapped, method="direct")
    reach = len(likelihood) // 2
    sums = np.arange(-reach, reach + 1)
    return McNemar(
        both_right=int((first & second).sum()),
        only_first_right=int((first & ~second).sum()),
        only_second_right=int((~first & second).sum()),
        both_wrong=int((~first & ~second).sum()),
        p=min(1.0, float(likelihood[np.abs(sums) >= abs(gained.sum())].sum())),
    )
