"""A known movement between two dates is found again."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from thorax_phantom import thorax

from SlicerCNNSegLib.engine.errors import Cancelled, InputError
from SlicerCNNSegLib.engine.findings.lungs import Lungs, find_lungs
from SlicerCNNSegLib.engine.findings.registration import align
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.volume import RAS_FROM_LPS, Volume

DEGREES, SHIFT_MM = (4.0, -3.0, 6.0), (12.0, -8.0, 15.0)
"""As a patient lies differently from one date to the other."""

POINTS = np.array([[80.0, 0, 60], [-80, 20, 60], [90, -30, -60], [-70, 10, -70], [60, 40, 0]])
"""In the lungs of the phantom, RAS mm."""


def moved(volume: Volume) -> tuple[Volume, np.ndarray]:
    """The volume as it was at an earlier date, and the 4x4 matrix from RAS now to RAS then."""
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*(float(np.radians(x)) for x in DEGREES))
    transform.SetTranslation(SHIFT_MM)
    lps = np.eye(4)
    lps[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    lps[:3, 3] = SHIFT_MM
    image = volume.to_sitk()
    then = sitk.Resample(image, image, transform.GetInverse(), sitk.sitkLinear, -1000.0)
    return Volume.from_sitk(then, modality="CT", source="then"), RAS_FROM_LPS @ lps @ RAS_FROM_LPS


@pytest.fixture(scope="module")
def dates() -> tuple[Volume, Lungs, Volume, Lungs, np.ndarray]:
    now = thorax((5, 5, 5), vessels=25).volume
    then, matrix = moved(now)
    return then, find_lungs(then), now, find_lungs(now), matrix


def test_a_known_movement_is_found(dates):
    then, then_lungs, now, now_lungs, matrix = dates
    progress = RecordingProgress()
    alignment = align(then, then_lungs, now, now_lungs, progress)
    expected = POINTS @ matrix[:3, :3].T + matrix[:3, 3]
    away_mm = np.linalg.norm(alignment.earlier_from_later(POINTS) - expected, axis=1)
    assert np.linalg.norm(POINTS - expected, axis=1).min() > 8  # it was a movement
    assert away_mm.max() < 1.0
    np.testing.assert_allclose(alignment.later_from_earlier(expected), POINTS, atol=1.5)
    assert alignment.correlation > 0.9
    assert alignment.warnings == ()
    fractions = [fraction for fraction, _ in progress.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.02


def test_two_patients_are_told(dates):
    """Noise instead of the earlier date: the correlation says that it did not work."""
    then, then_lungs, now, now_lungs, _ = dates
    noise = np.random.default_rng(0).normal(-400, 300, then.array.shape)
    alignment = align(Volume(noise, then.ijk_to_ras, modality="CT"), then_lungs, now, now_lungs)
    assert alignment.correlation < 0.5
    assert "check each match by eye" in alignment.warnings[0]


def test_cancelling(dates):
    then, then_lungs, now, now_lungs, _ = dates
    with pytest.raises(Cancelled):
        align(then, then_lungs, now, now_lungs, RecordingProgress(cancel_at=0.01))


def test_nothing_in_common(dates):
    """Lungs said to be far from where the earlier image is."""
    then, then_lungs, now, now_lungs, _ = dates
    far = then.ijk_to_ras.copy()
    far[:3, 3] += 5000
    with pytest.raises(InputError, match="cannot be aligned: their lungs have too little in common"):
        align(Volume(then.array, far, modality="CT"), then_lungs, now, now_lungs)
