"""The FROC curve's closed forms, its bootstrap, and how MONAI's FROC differs."""

import numpy as np
import pytest
from monai.metrics import compute_fp_tp_probs_nd, compute_froc_curve_data, compute_froc_score

from SlicerCNNSegLib.engine.errors import Cancelled
from SlicerCNNSegLib.engine.evaluation.detection.curves import (
    BAND_RATES,
    RATES,
    FrocEvents,
    bootstrap_sensitivities,
    draws,
    percentile_interval,
)
from SlicerCNNSegLib.engine.evaluation.detection.luna import Judgement, Verdict
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress


def events(scans: int, nodules, false) -> FrocEvents:
    """Nodules ``(scan, probability or -inf)`` and false positives ``(scan, probability)``."""
    nodules, false = np.reshape(nodules, (-1, 2)), np.reshape(false, (-1, 2))
    verdict = np.full(len(false), Verdict.FALSE_POSITIVE)
    judgement = Judgement(
        scans, nodules[:, 0].astype(int), nodules[:, 1], false[:, 0].astype(int), false[:, 1], verdict
    )
    return FrocEvents(judgement)


def test_every_probability_is_one_point_and_missed_nodules_are_in_the_denominator():
    curve = events(2, [(0, 0.9), (0, 0.5), (1, 0.5), (1, -np.inf)], [(0, 0.7), (1, 0.5), (1, 0.1)]).curve()
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.7, 0.5, 0.1]
    assert curve.rate.tolist() == [0, 0, 0.5, 1, 1.5]
    assert curve.sensitivity.tolist() == [0, 0.25, 0.25, 0.75, 0.75]
    # upper end of the step at 0, linear through the tie, level beyond the last point
    assert curve.at((0.125, 0.5, 0.75, 1.0, 8.0)).tolist() == [0.25, 0.25, 0.5, 0.75, 0.75]


def test_a_step_exactly_at_an_operating_point_counts_with_its_upper_end():
    """With 888 scans, 111 false positives are 1/8; a way through rates of all false positives may miss it."""
    false = [(n, 0.9) for n in range(111)] + [(n, 0.1) for n in range(7)]
    curve = events(888, [(0, 0.5), (1, -np.inf)], false).curve()
    assert curve.at((0.125,)).tolist() == [0.5]
    assert curve.at((np.nextafter(0.125, 0),)).tolist() == [0.0]


def test_without_false_positives_the_curve_is_level():
    assert events(3, [(0, 0.9), (2, 0.1)], []).curve().at(RATES).tolist() == [1.0] * 7


def test_without_hits_and_without_marks_the_sensitivity_is_0():
    missed = [(0, -np.inf)]
    assert events(2, missed, [(0, 0.9), (1, 0.1)]).curve().at(RATES).tolist() == [0.0] * 7
    assert events(2, missed, []).curve().at(RATES).tolist() == [0.0] * 7


def test_scans_without_anything_lower_the_rate():
    nodules, false = [(0, 0.5)], [(0, 0.9)]
    assert events(1, nodules, false).curve().at((0.5,)).tolist() == [0.0]
    assert events(8, nodules, false).curve().at((0.5,)).tolist() == [1.0]


def random_events(seed: int = 0, scans: int = 40) -> FrocEvents:
    rng = np.random.default_rng(seed)
    nodules = [
        (scan, p if p > 0.2 else -np.inf) for scan, p in zip(rng.integers(scans, size=60), rng.random(60), strict=True)
    ]
    return events(scans, nodules, np.column_stack((rng.integers(scans, size=500), rng.random(500) ** 2)))


def test_corners_are_the_same_curve_with_fewer_points():
    curve = random_events().curve()
    corners = curve.corners()
    assert len(corners.rate) < len(curve.rate) / 3
    rates = np.linspace(0.001, 14, 1000)
    assert corners.at(rates) == pytest.approx(curve.at(rates), abs=1e-12)


def test_a_scan_drawn_twice_counts_like_two_scans():
    once = events(2, [(0, 0.8), (1, 0.4)], [(0, 0.6), (1, 0.2)]).curve(np.array([2, 0]))
    assert once.at((0.5, 1.0)).tolist() == events(1, [(0, 0.8)], [(0, 0.6)]).curve().at((0.5, 1.0)).tolist()


def test_band_rates_hold_the_operating_points_exactly():
    assert BAND_RATES[np.isin(BAND_RATES, RATES)].tolist() == list(RATES)


def test_draws_are_of_as_many_scans_and_the_same_for_a_seed():
    first, again, other = (np.array(list(draws(7, resamples=500, seed=seed))) for seed in (1, 1, 2))
    assert first.sum(axis=1).tolist() == [7] * 500
    assert (first == again).all()
    assert (first != other).any()
    assert first.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)


def test_draws_without_a_nodule_are_left_out():
    drawn = bootstrap_sensitivities(events(2, [(0, 0.9)], []), np.array(RATES), NoProgress(), resamples=400)
    assert 250 < len(drawn) < 350  # three of four draws of two scans hold the first
    assert (drawn == 1).all()


def test_interval_covers_the_spread_of_repeated_samples():
    """The bootstrap's width is near that of many independent samples of scans."""
    cpms = [random_events(seed, 200).curve().at(RATES).mean() for seed in range(300)]
    drawn = bootstrap_sensitivities(random_events(1000, 200), np.array(RATES), NoProgress()).mean(axis=1)
    low, high = percentile_interval(drawn)
    assert high - low == pytest.approx(np.ptp(np.percentile(cpms, (2.5, 97.5))), rel=0.35)


def test_interval_takes_the_26th_and_976th_of_1000():
    assert percentile_interval(np.random.default_rng(0).permutation(1000)) == (25, 975)


def test_bootstrap_can_be_cancelled():
    with pytest.raises(Cancelled):
        bootstrap_sensitivities(random_events(), np.array(RATES), RecordingProgress(cancel_at=0.5))


def test_monais_froc_is_another_protocol():
    """It reads hits from a label image, at other rates, and leaves the lowest probability out of the curve."""
    mask = np.zeros((8, 8, 8), int)
    mask[2, 2, 2] = 1
    coordinates = np.array([[5, 5, 5], [2, 2, 2]])
    fp, tp, targets = compute_fp_tp_probs_nd(np.array([0.9, 0.4]), coordinates, mask)
    theirs = compute_froc_score(*compute_froc_curve_data(fp, tp.astype(float), targets, 1))
    ours = events(1, [(0, 0.4)], [(0, 0.9)]).curve().at(RATES).mean()
    assert ours == pytest.approx(4 / 7)  # found at 1, 2, 4 and 8 false positives per scan
    assert theirs == 0
