"""DeLong's variance against one comparison for each pair of cases, its coverage, and several cases of a patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from SlicerCNNSegLib.engine.evaluation.classification.delong import auc_difference, auc_with_covariance


def made(cases, seed, *, decimals=6, scores=2):
    """Truth and scores that share most of their noise; few decimals make ties."""
    rng = np.random.default_rng(seed)
    truth = np.r_[True, True, False, False, rng.random(cases - 4) < 0.4]
    shared = rng.normal(truth * 1.2, 1)
    return truth, np.round([shared + rng.normal(0, 0.5, cases) for _ in range(scores)], decimals)


def slow_covariance(truth, scores):
    """DeLong et al. 1988, equations 4 to 8, pair by pair."""
    positives, negatives = scores[:, truth], scores[:, ~truth]
    difference = positives[:, :, None] - negatives[:, None, :]
    psi = (difference > 0) + 0.5 * (difference == 0)
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    area = psi.mean(axis=(1, 2))
    m, n = positives.shape[1], negatives.shape[1]
    s10 = (v10 - area[:, None]) @ (v10 - area[:, None]).T / (m - 1)
    s01 = (v01 - area[:, None]) @ (v01 - area[:, None]).T / (n - 1)
    return area, s10 / m + s01 / n


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("cases", [4, 5, 80])
def test_is_the_pairwise_reading(cases, decimals):
    truth, scores = made(cases, seed=cases, decimals=decimals, scores=3)
    area, covariance = slow_covariance(truth, scores)
    found = auc_with_covariance(truth, scores)
    np.testing.assert_allclose(found.values, area, atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)


def test_area_is_that_of_scikit_learn_and_of_mann_whitney():
    truth, scores = made(90, 1, decimals=1)
    found = auc_with_covariance(truth, scores).values
    assert found == pytest.approx([roc_auc_score(truth, row) for row in scores])
    u = stats.mannwhitneyu(scores[0][truth], scores[0][~truth]).statistic
    assert found[0] == pytest.approx(u / (truth.sum() * (~truth).sum()))


def test_interval_covers_the_true_area_about_as_often_as_it_says():
    true = stats.norm.cdf(1.2 / np.sqrt(2 * 1.25))
    found = [auc_with_covariance(*made(400, seed, scores=1)) for seed in range(1000)]
    coverage = np.mean([low <= true <= high for low, high in (auc.interval() for auc in found)])
    assert coverage == pytest.approx(0.95, abs=0.02)  # 1000 trials have a standard error of 0.7 %
    spread = np.std([auc.values[0] for auc in found])
    assert np.mean([auc.covariance[0, 0] ** 0.5 for auc in found]) == pytest.approx(spread, rel=0.07)


def test_difference_of_equal_models_is_found_as_rarely_as_it_should():
    p = [auc_difference(auc_with_covariance(*made(80, seed))).p for seed in range(300)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_difference_by_hand():
    truth, scores = made(60, 3)
    auc = auc_with_covariance(truth, scores)
    found = auc_difference(auc)
    (a, c), (_, b) = auc.covariance
    z = (auc.values[0] - auc.values[1]) / np.sqrt(a + b - 2 * c)
    assert found.difference == pytest.approx(auc.values[0] - auc.values[1])
    assert found.p == pytest.approx(2 * stats.norm.cdf(-abs(z)))
    swapped = auc_difference(auc_with_covariance(truth, scores[::-1]))
    assert (swapped.difference, swapped.p) == pytest.approx((-found.difference, found.p))


def test_two_scores_that_rank_alike_do_not_differ():
    truth, scores = made(50, 4, scores=1)
    found = auc_difference(auc_with_covariance(truth, np.stack([scores[0], np.exp(scores[0])])))
    assert (found.difference, found.standard_error, found.p) == (0.0, 0.0, 1.0)


def test_a_perfect_against_a_perfectly_wrong_score_has_no_test():
    truth = np.array([True, True, False, False])
    assert auc_difference(auc_with_covariance(truth, np.stack([truth, ~truth]).astype(float))) is None


@pytest.mark.parametrize("truth", [[1, 0, 0, 0], [1, 1, 1, 0]])
def test_a_single_positive_or_negative_case_has_no_variance(truth):
    found = auc_with_covariance(np.array(truth, dtype=bool), np.array([[0.9, 0.2, 0.3, 0.1]] * 2))
    assert found.covariance is None
    assert found.interval() is None
    assert auc_difference(found) is None


def test_a_perfect_area_has_no_interval():
    truth = np.array([True, True, False, False])
    found = auc_with_covariance(truth, truth[None].astype(float))
    assert found.values == [1.0]
    assert found.interval() is None


def test_interval_stays_within_0_and_1():
    truth = np.array([True] * 3 + [False] * 3)
    low, high = auc_with_covariance(truth, np.array([[0.9, 0.8, 0.4, 0.5, 0.2, 0.1]])).interval()
    assert 0 <= low < 8 / 9 < high == 1


def test_groups_of_one_are_nearly_independent_cases():
    truth, scores = made(200, 5)
    single = auc_with_covariance(truth, scores, np.arange(200))
    np.testing.assert_allclose(single.covariance, auc_with_covariance(truth, scores).covariance, rtol=0.02)


def test_the_same_cases_twice_are_no_more_evidence():
    truth, scores = made(200, 6)
    once = auc_with_covariance(truth, scores, np.arange(200))
    twice = auc_with_covariance(np.tile(truth, 2), np.tile(scores, 2), np.tile(np.arange(200), 2))
    np.testing.assert_allclose(twice.values, once.values)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-9)


def test_one_patient_alone_has_no_variance():
    truth, scores = made(20, 7)
    assert auc_with_covariance(truth, scores, np.zeros(20, dtype=int)).covariance is None
