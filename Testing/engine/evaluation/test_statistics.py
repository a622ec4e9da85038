"""Bootstrap intervals: coverage, closed forms, degenerate samples."""

import numpy as np
import pytest
from scipy import stats

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.evaluation.statistics import Interval, mean_interval, paired_difference_interval


def test_is_near_the_t_interval_of_a_normal_sample():
    sample = np.random.default_rng(0).normal(0.9, 0.04, 200)
    low, high = mean_interval(sample)
    expected = stats.t.interval(0.95, 199, sample.mean(), stats.sem(sample))
    width = expected[1] - expected[0]
    assert low == pytest.approx(expected[0], abs=0.05 * width)
    assert high == pytest.approx(expected[1], abs=0.05 * width)


def test_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.normal(5.0, 2.0, 40), seed=trial) for trial in range(200)]
    coverage = np.mean([low <= 5.0 <= high for low, high in intervals])
    # 95 % less the known 1 % at n = 40; 200 trials have a standard error of 1.6 %
    assert 0.89 <= coverage <= 0.99


def test_same_seed_same_interval():
    sample = np.random.default_rng(2).exponential(size=30)
    assert mean_interval(sample, seed=3) == mean_interval(sample, seed=3)
    assert mean_interval(sample, seed=3) != mean_interval(sample, seed=4)


def test_constant_sample_has_no_width():
    assert mean_interval([0.8, 0.8, 0.8]) == Interval(0.8, 0.8)


@pytest.mark.parametrize("values", [[], [0.9]])
def test_fewer_than_two_values_say_nothing(values):
    assert mean_interval(values) is None


def test_paired_interval_is_that_of_the_differences():
    rng = np.random.default_rng(4)
    hard = rng.normal(0.8, 0.1, 50)  # how hard each case is: far more than the models differ
    first, second = hard + 0.01 + rng.normal(0, 0.002, 50), hard
    low, high = paired_difference_interval(first, second)
    assert 0.008 < low < 0.01 < high < 0.012
    assert paired_difference_interval(first, second) == mean_interval(first - second)
    unpaired_width = np.ptp(mean_interval(first))
    assert high - low < unpaired_width / 10


def test_refuses_unpaired_samples():
    with pytest.raises(InputError, match="one pair of values per case, got 3 and 2"):
        paired_difference_interval([1.0, 2.0, 3.0], [1.0, 2.0])


def test_refuses_undefined_values():
    with pytest.raises(InputError, match="Expected finite values for a confidence interval"):
        mean_interval([0.9, float("nan")])
