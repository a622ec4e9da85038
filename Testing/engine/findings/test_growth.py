"""Growth and doubling times against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.findings.growth import VOLUME_ERROR, growth


def test_a_doubled_volume_doubles_in_the_days_between():
    change = growth(100, 200, 90, volume_error=0.1)
    assert change.verdict == "grown"
    assert change.change == pytest.approx(1.0)
    assert change.doubling_days == pytest.approx(90)
    reach = 1.959963984540054 * math.sqrt(2) * 0.1
    low, high = math.exp(math.log(2) - reach) - 1, math.exp(math.log(2) + reach) - 1
    assert change.change_95 == pytest.approx((low, high))
    assert change.doubling_days_95 == pytest.approx(
        (90 * math.log(2) / (math.log(2) + reach), 90 * math.log(2) / (math.log(2) - reach))
    )


@pytest.mark.parametrize(
    ("later", "verdict"), [(124.9, "stable"), (125.0, "grown"), (80.1, "stable"), (80.0, "shrunk"), (100.0, "stable")]
)
def test_a_quarter_more_is_growth(later, verdict):
    assert growth(100, later, 90).verdict == verdict


def test_a_worse_segmentation_needs_more():
    assert growth(100, 150, 90, volume_error=0.05).verdict == "grown"
    assert growth(100, 150, 90, volume_error=0.2).verdict == "stable"


def test_the_default_error_is_what_makes_a_quarter_the_limit():
    ratio = np.exp(np.random.default_rng(0).normal(0, VOLUME_ERROR, (200_000, 2)) @ [1, -1])
    assert np.mean((ratio < 1.25) & (ratio > 1 / 1.25)) == pytest.approx(0.95, abs=0.002)


def test_intervals_that_hold_no_growth_are_open():
    stable = growth(100, 105, 90)
    assert 0 < stable.doubling_days_95[0] < stable.doubling_days
    assert stable.doubling_days_95[1] == math.inf
    shrunk = growth(100, 50, 90)
    assert shrunk.doubling_days == pytest.approx(-90)
    assert shrunk.doubling_days_95 == (math.inf, math.inf)
    assert growth(100, 100, 90).doubling_days == math.inf


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, -1, 1), (1, 1, 0), (1, math.inf, 1), (1, 1, 1, -0.1)])
def test_refusals(numbers):
    with pytest.raises(SettingsError, match="Expected two volumes and days above 0"):
        growth(*numbers)
