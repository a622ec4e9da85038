"""The learning rate over a run."""

from dataclasses import replace

import pytest

from SlicerCNNSegTrainLib.engine.training.schedule import StepSchedule, TimeSchedule, learning_rate


def test_by_steps_the_rate_warms_up_and_falls_to_zero(recipe):
    schedule = StepSchedule(recipe)
    rates = [schedule.rate(step) for step in range(recipe.steps + 1)]
    assert rates[0] == pytest.approx(recipe.learning_rate / recipe.warmup_steps)
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates.index(max(rates)) in (recipe.warmup_steps - 1, recipe.warmup_steps)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[recipe.warmup_steps :] == sorted(rates[recipe.warmup_steps :], reverse=True)
    assert schedule.fraction(recipe.steps) == 1


def test_a_polynomial_decay_is_nnunets(recipe):
    poly = replace(recipe, decay="poly", warmup_steps=0)
    assert learning_rate(poly, 30, 0.5) == pytest.approx(recipe.learning_rate * 0.5**0.9)
    assert StepSchedule(poly).rate(recipe.steps) == 0


def test_by_time_the_rate_follows_the_clock(recipe):
    now = [0.0]
    schedule = TimeSchedule(replace(recipe, minutes=1.0), lambda: now[0], reserve_s=20.0)
    for seconds, share in ((0, 0.0), (20, 0.5), (40, 1.0), (55, 1.0)):
        now[0] = seconds
        assert schedule.fraction(1000) == pytest.approx(share)
        assert schedule.rate(1000) == pytest.approx(learning_rate(recipe, 1000, share))
    assert learning_rate(recipe, 1000, 0.5) == pytest.approx(recipe.learning_rate / 2)
