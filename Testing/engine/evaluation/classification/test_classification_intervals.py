"""Intervals of many metrics: scipy's bootstrap, coverage, groups, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tiny_tables import random_table

from SlicerCNNSegLib.engine.errors import Cancelled
from SlicerCNNSegLib.engine.evaluation.classification.calibration import error_by_chance
from SlicerCNNSegLib.engine.evaluation.classification.evaluate import evaluate_classification
from SlicerCNNSegLib.engine.evaluation.classification.intervals import Resampled, resampled, share_interval
from SlicerCNNSegLib.engine.evaluation.classification.metrics import Metrics
from SlicerCNNSegLib.engine.evaluation.classification.tables import BINARY
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress


def means_of(sample):
    """Means of a sample as a function of weights."""
    return lambda weights: (weights @ sample / weights.sum(axis=1))[:, None]


def interval_of(sample, groups=None, **more):
    groups = np.arange(len(sample)) if groups is None else groups
    return resampled(means_of(sample), groups, seed=0, progress=NoProgress(), **more).interval(0)


def test_is_the_bca_interval_of_scipy():
    sample = np.random.default_rng(0).exponential(size=40)  # skewed: bias and acceleration matter
    expected = stats.bootstrap((sample,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    percentile = stats.bootstrap((sample,), np.mean, method="percentile", rng=np.random.default_rng(1))
    assert interval_of(sample) == pytest.approx(tuple(expected), rel=0.02)
    assert abs(expected.high - percentile.confidence_interval.high) > 0.02 * expected.high


def test_drawing_patients_widens_the_interval_of_cases_that_are_alike():
    values = np.random.default_rng(2).normal(size=60)
    alike, groups = np.repeat(values, 4), np.repeat(np.arange(60), 4)
    assert np.ptp(interval_of(alike, groups)) == pytest.approx(np.ptp(interval_of(values)), rel=0.05)
    assert np.ptp(interval_of(alike)) == pytest.approx(np.ptp(interval_of(values)) / 2, rel=0.1)


def test_more_groups_than_are_left_out_one_by_one():
    sample = np.random.default_rng(3).exponential(size=2500)
    low, high = interval_of(sample, resamples=2000)
    error = 1.96 * stats.sem(sample)
    assert (low, high) == pytest.approx((sample.mean() - error, sample.mean() + error), abs=0.15 * error)


def test_one_group_says_nothing():
    assert resampled(means_of(np.arange(5.0)), np.zeros(5, int), seed=0, progress=NoProgress()) is None


def test_a_metric_without_variance_has_no_interval():
    assert interval_of(np.ones(20)) is None


@pytest.mark.parametrize(("undefined", "told"), [(40, True), (60, False)])
def test_few_undefined_resamples_are_left_out_and_many_leave_no_interval(undefined, told):
    drawn = np.random.default_rng(4).normal(size=(1000, 1))
    drawn[:undefined] = np.nan
    sample = Resampled(np.zeros(1), drawn, np.random.default_rng(5).normal(size=(30, 1)))
    assert (sample.interval(0) is not None) == told


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        resampled(means_of(np.arange(5.0)), np.arange(5), seed=0, progress=RecordingProgress(cancel_at=0.0))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (45, 60)])
def test_share_interval_is_wilsons_formula(successes, trials):
    z, p = stats.norm.ppf(0.975), successes / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    assert share_interval(successes, trials) == pytest.approx((middle - reach, middle + reach), abs=1e-12)
    assert share_interval(0, 0) is None


def test_basic_interval_mirrors_the_resamples_at_the_value():
    drawn = np.linspace(0.1, 0.3, 2001)[:, None]
    low, high = Resampled(np.array([0.15]), drawn, np.zeros((3, 1))).interval(0, basic=True)
    assert (low, high) == pytest.approx((0.3 - 0.295, 0.3 - 0.105))


def test_calibration_error_of_a_calibrated_model_has_an_interval_from_0():
    rng = np.random.default_rng(6)
    holds, ends = [], []
    for seed in range(6):
        table = random_table(BINARY, 100, seed, decimals=6)
        probabilities = rng.random((100, 1))
        table.truth[:], table.probabilities[:] = rng.random((100, 1)) < probabilities, probabilities
        entry = _calibration_error(table)
        assert entry["ci95"][0] <= entry["value"] <= entry["ci95"][1]
        assert entry["by_chance"] == error_by_chance(probabilities[:, 0])
        holds.append(entry["ci95"][0] == 0)
        ends.append(entry["ci95"][1])
    assert sum(holds) >= 5  # 97.5 % are expected
    assert np.mean(ends) < 0.2


def test_calibration_error_of_a_wrong_model_has_an_interval_above_0():
    table = random_table(BINARY, 300)
    table.probabilities[:] = np.where(table.probabilities > 0.5, 0.99, 0.01)
    low, high = _calibration_error(table)["ci95"]
    assert 0.1 < low < high < 0.4


def _calibration_error(table):
    """The entry of the calibration error."""
    return evaluate_classification(table)["models"][0]["overall"]["ece"]


def test_resamples_of_two_models_are_of_the_same_cases():
    first = Metrics(random_table(BINARY, seed=1), threshold=0.5, bins=10)
    samples = [resampled(first.values, np.arange(120), seed=0, progress=NoProgress(), resamples=200) for _ in range(2)]
    np.testing.assert_array_equal((samples[0] - samples[1]).drawn, 0)
