"""Calibration error: closed forms, scikit-learn's bins, and what chance makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from tiny_tables import random_table

from SlicerCNNSegLib.engine.evaluation.classification.calibration import (
    bin_of,
    error_by_chance,
    expected_calibration_error,
    reliability_bins,
)
from SlicerCNNSegLib.engine.evaluation.classification.metrics import OVERALL, Metrics
from SlicerCNNSegLib.engine.evaluation.classification.tables import MULTI_CLASS


def test_error_of_two_bins_by_hand():
    # bin of 0.2: 1 of 4 true, 0.05 off; bin of 0.9: 1 of 2 true, 0.4 off
    outcomes = np.array([1, 0, 0, 0, 1, 0], dtype=bool)
    probabilities = np.array([0.2, 0.2, 0.2, 0.2, 0.9, 0.9])
    assert expected_calibration_error(outcomes, probabilities) == pytest.approx((4 * 0.05 + 2 * 0.4) / 6)


def test_a_bin_holds_its_upper_end_and_the_first_one_0():
    assert bin_of(np.array([0, 0.05, 0.1, 0.1001, 0.9, 0.95, 1]), 10).tolist() == [0, 0, 0, 1, 8, 9, 9]


def test_bins_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities = rng.random(300)
    outcomes = rng.random(300) < probabilities
    filled = [each for each in reliability_bins(outcomes, probabilities, 7) if each.cases]
    shares, means = calibration_curve(outcomes, probabilities, n_bins=7)
    assert [each.positives / each.cases for each in filled] == pytest.approx(shares)
    assert [each.probability for each in filled] == pytest.approx(means)


def test_an_empty_bin_has_no_probability():
    first, second = reliability_bins(np.array([True]), np.array([0.9]), 2)
    assert (first.cases, first.positives, first.probability) == (0, 0, None)
    assert (second.low, second.high, second.cases, second.positives) == (0.5, 1.0, 1, 1)


def test_multi_class_error_is_that_of_the_highest_probability():
    table = random_table(MULTI_CLASS)
    metrics = Metrics(table, threshold=0.5, bins=15)
    found = dict(zip(metrics.keys, metrics.values(np.ones((1, 120)))[0], strict=True))
    right = table.probabilities.argmax(axis=1) == table.truth.argmax(axis=1)
    expected = expected_calibration_error(right, table.probabilities.max(axis=1), 15)
    assert found[OVERALL, "ece"] == pytest.approx(expected)


def test_chance_is_what_perfectly_calibrated_models_reach():
    rng = np.random.default_rng(1)
    probabilities = rng.random(200)
    limit = error_by_chance(probabilities)
    errors = [expected_calibration_error(rng.random(200) < probabilities, probabilities) for _ in range(1000)]
    # 2.5 % lie above; 1000 trials have a standard error of 0.5 %
    assert np.mean(np.array(errors) > limit) == pytest.approx(0.025, abs=0.015)
    assert error_by_chance(probabilities) == limit


def test_chance_shrinks_with_the_square_root_of_the_cases():
    few, many = (error_by_chance(np.linspace(0, 1, cases)) for cases in (100, 10_000))
    assert few / many == pytest.approx(10, rel=0.15)
