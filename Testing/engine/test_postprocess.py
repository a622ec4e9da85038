"""Clean-up of labelmaps, checked on pieces of known size."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.postprocess import Postprocessing


@pytest.fixture
def labelmap():
    """Label 1: pieces of 27 and 8 voxels, the large one hollow; label 2: a piece of 1 voxel inside label 1."""
    array = np.zeros((12, 12, 12), np.uint8)
    array[1:4, 1:4, 1:4] = 1
    array[2, 2, 2] = 0
    array[7:9, 7:9, 7:9] = 1
    array[10, 10, 10] = 2
    return array


def test_nothing_asked_nothing_changed(labelmap):
    cleaned = Postprocessing().apply(labelmap, 1.0)
    np.testing.assert_array_equal(cleaned, labelmap)
    assert cleaned is not labelmap


def test_largest_component_is_kept_for_each_label(labelmap):
    cleaned = Postprocessing(largest_component=True).apply(labelmap, 1.0)
    assert np.bincount(cleaned.ravel(), minlength=3).tolist() == [12**3 - 27, 26, 1]


def test_holes_are_filled_with_background_only(labelmap):
    cleaned = Postprocessing(fill_holes=True).apply(labelmap, 1.0)
    assert np.bincount(cleaned.ravel(), minlength=3).tolist() == [12**3 - 36, 35, 1]
    labelmap[2, 2, 2] = 2
    assert Postprocessing(fill_holes=True).apply(labelmap, 1.0)[2, 2, 2] == 2


def test_small_pieces_go_by_their_volume_in_mm3(labelmap):
    cleaned = Postprocessing(minimum_volume_mm3=4.0).apply(labelmap, voxel_volume_mm3=0.5)
    assert np.bincount(cleaned.ravel(), minlength=3).tolist() == [12**3 - 34, 34, 0]
    cleaned = Postprocessing(minimum_volume_mm3=4.1).apply(labelmap, voxel_volume_mm3=0.5)
    assert np.bincount(cleaned.ravel(), minlength=3).tolist() == [12**3 - 26, 26, 0]


def test_an_unknown_key_is_refused():
    with pytest.raises(ModelError, match=r"expected largest_component, minimum_volume_mm3, fill_holes"):
        Postprocessing.from_config({"cnnseg": {"postprocess": {"smooth": True}}})
