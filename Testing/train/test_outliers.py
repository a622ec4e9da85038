"""Which numbers count as outliers."""

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from SlicerCNNSegTrainLib.engine.checking.outliers import LEAST_LOG, LIMIT, robust_z


def test_the_score_is_that_of_the_median_deviation():
    values = np.random.default_rng(0).normal(5, 2, 101)
    expected = (values - np.median(values)) / median_abs_deviation(values, scale="normal")
    np.testing.assert_allclose(robust_z(values, 1e-6), expected, rtol=1e-4)


def test_where_all_are_alike_a_factor_of_1_4_is_needed():
    scores = robust_z(np.log([1.0] * 20 + [1.39, 1.41, 1 / 1.41]), LEAST_LOG)
    assert (np.abs(scores[20:]) > LIMIT).tolist() == [False, True, True]
    assert scores[:20] == pytest.approx(0)
