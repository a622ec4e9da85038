"""McNemar's exact test against the binomial test, and by patient against all swaps one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from SlicerCNNSegLib.engine.evaluation.classification.mcnemar import mcnemar


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (0, 5), (7, 7), (12, 3), (40, 61)])
def test_is_the_binomial_test_of_discordant_cases(only_first, only_second):
    first = np.r_[np.ones(only_first, bool), np.zeros(only_second, bool), np.ones(20, bool), np.zeros(9, bool)]
    second = np.r_[np.zeros(only_first, bool), np.ones(only_second, bool), np.ones(20, bool), np.zeros(9, bool)]
    found = mcnemar(first, second, np.arange(len(first)))
    counts = (found.both_right, found.only_first_right, found.only_second_right, found.both_wrong)
    assert counts == (20, only_first, only_second, 9)
    discordant = only_first + only_second
    expected = stats.binomtest(only_first, discordant).pvalue if discordant else 1.0
    assert found.p == pytest.approx(expected)


def test_by_patient_is_the_share_of_all_swaps():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), rng.integers(1, 5, 8))
    first, second = rng.random((2, len(groups))) < [[0.9], [0.6]]
    gains = np.bincount(groups, first.astype(float) - second)
    sums = [abs(np.dot(signs, gains)) for signs in itertools.product((-1, 1), repeat=8)]
    expected = np.mean(np.array(sums) >= abs(gains.sum()))
    assert mcnemar(first, second, groups).p == pytest.approx(expected)


def test_the_same_cases_twice_are_no_more_evidence():
    first, second = np.random.default_rng(1).random((2, 40)) < [[0.9], [0.6]]
    once = mcnemar(first, second, np.arange(40)).p
    assert mcnemar(np.tile(first, 2), np.tile(second, 2), np.tile(np.arange(40), 2)).p == pytest.approx(once)
