"""What is measured of a case for a plan."""

from itertools import groupby

import numpy as np
import pytest

from SlicerCNNSegTrainLib.engine.planning.measure import SAMPLED_VOXELS, chords_mm, filled_share, foreground_sample


def runs(labelmap, axis, value):
    """Lengths of the runs of a value along an axis, one line after the other."""
    lines = np.moveaxis(labelmap, axis, -1).reshape(-1, labelmap.shape[axis])
    return [len(list(run)) for line in lines for key, run in groupby(line) if key == value]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_chords_are_the_mean_lengths_of_runs_along_each_anatomical_axis(order):
    labelmap = (np.random.default_rng(0).random((7, 8, 9)) * 3).astype(np.uint8)
    spacing = np.array([0.5, 1.0, 3.0])
    found = chords_mm(labelmap, spacing, order)
    assert set(found) == {1, 2}
    for value, chords in found.items():
        # R, A, S are the ijk axes `order`; the array is (k, j, i)
        expected = [np.mean(runs(labelmap, 2 - order[axis], value)) * spacing[axis] for axis in range(3)]
        np.testing.assert_allclose(chords, expected)


def test_a_box_has_the_chords_of_its_sides_and_no_label_has_none():
    labelmap = np.zeros((10, 10, 10), np.uint16)
    labelmap[2:5, 1:8, 4:6] = 300
    np.testing.assert_allclose(chords_mm(labelmap, np.array([1.0, 2.0, 3.0]), (0, 1, 2))[300], [2, 14, 9])
    assert chords_mm(np.zeros_like(labelmap), np.ones(3), (0, 1, 2)) == {}


def test_the_sample_holds_labelled_voxels_of_every_channel_evenly():
    labelmap = np.zeros((40, 40, 40), np.uint8)
    labelmap[:20] = 1
    image = np.stack([np.arange(64000), -np.arange(64000)]).reshape(2, 40, 40, 40)
    sample = foreground_sample(image, labelmap)
    assert sample.shape == (2, 8000)  # 32,000 labelled voxels, every fourth
    assert sample.shape[1] <= SAMPLED_VOXELS
    np.testing.assert_array_equal(sample[0], np.arange(0, 32000, 4))
    np.testing.assert_array_equal(sample[1], -sample[0])


def test_the_filled_share_is_that_of_the_box_that_holds_all_but_zeros():
    image = np.zeros((2, 4, 5, 10))
    assert filled_share(image) == 0
    image[0, 1, 1, 2] = image[1, 2, 3, 6] = -1
    assert filled_share(image) == pytest.approx(2 * 3 * 5 / 200)
