"""Overlaps in mm, suppression across windows and fusion across passes, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.errors import GeometryError, SettingsError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.merging import best_of_windows, fused, overlaps

ISOTROPIC = (1.0, 1.0, 1.0)


def test_overlap_in_mm_of_oblique_boxes():
    turn = Rotation.from_euler("xyz", (20, 30, 40), degrees=True).as_matrix()
    rows = tuple(map(tuple, turn.T))
    first = OrientedBox((5, 6, 7), (4, 4, 2), rows)
    shifted = OrientedBox(tuple(np.array([5, 6, 7]) + 2 * turn[:, 0]), (4, 4, 2), rows)
    far = OrientedBox((50, 6, 7), (4, 4, 2), rows)
    # half of 32 mm3 is shared: 16 of 48
    np.testing.assert_allclose(overlaps([first], [first, shifted, far]), [[1, 1 / 3, 0]], atol=1e-6)
    assert overlaps([], [first]).shape == (0, 1)


def test_boxes_along_different_axes_are_not_compared():
    rows = tuple(map(tuple, Rotation.from_euler("z", 10, degrees=True).as_matrix()))
    with pytest.raises(GeometryError, match="boxes along the same axes"):
        overlaps([OrientedBox((0, 0, 0), (1, 1, 1))], [OrientedBox((0, 0, 0), (1, 1, 1), rows)])


def test_the_best_of_overlapping_windows_stays_in_each_class():
    boxes = np.array([[0, 0, 0, 4, 4, 4], [1, 0, 0, 5, 4, 4], [1, 0, 0, 5, 4, 4], [20, 0, 0, 24, 4, 4]], dtype=float)
    kept = best_of_windows(
        boxes, np.array([0.6, 0.9, 0.5, 0.7]), np.array([0, 0, 1, 0]), threshold=0.3, spacing_mm=ISOTROPIC
    )
    assert kept.tolist() == [1, 3, 2]  # 0 overlaps 1 by 48 of 80; 2 is of another class
    kept = best_of_windows(boxes[:2], np.array([0.6, 0.9]), np.zeros(2), threshold=0.61, spacing_mm=ISOTROPIC)
    assert kept.tolist() == [1, 0]
    assert best_of_windows(np.empty((0, 6)), np.empty(0), np.empty(0), threshold=0.5, spacing_mm=ISOTROPIC).size == 0


def test_fusion_by_hand():
    """Two passes see one box, 0.8 and 0.4; one pass alone sees another, 0.9."""
    first = (np.array([[0, 0, 0, 10, 10, 10], [50, 0, 0, 60, 10, 10]], dtype=float), np.array([0.8, 0.9]), np.zeros(2))
    second = (np.array([[3, 0, 0, 13, 10, 10]], dtype=float), np.array([0.4]), np.zeros(1))
    boxes, scores, classes = fused([first, second], threshold=0.5, spacing_mm=ISOTROPIC)
    np.testing.assert_allclose(boxes, [[1, 0, 0, 11, 10, 10], [50, 0, 0, 60, 10, 10]])  # (0 * .8 + 3 * .4) / 1.2
    np.testing.assert_allclose(scores, [0.6, 0.45])  # mean of both; 0.9 times one pass of two
    assert classes.tolist() == [0, 0]


def test_weights_of_passes():
    first = (np.array([[0, 0, 0, 10, 10, 10]], dtype=float), np.array([0.8]), np.zeros(1))
    second = (np.array([[3, 0, 0, 13, 10, 10]], dtype=float), np.array([0.4]), np.zeros(1))
    boxes, scores, _ = fused([first, second], threshold=0.5, spacing_mm=ISOTROPIC, weights=[1, 2])
    np.testing.assert_allclose(boxes[0, 0], 1.5)  # both trusted alike: .8 * 1 and .4 * 2
    np.testing.assert_allclose(scores, [(0.8 + 2 * 0.4) / 3])
    _, alone, _ = fused(
        [first, (np.empty((0, 6)), np.empty(0), np.empty(0))], threshold=0.5, spacing_mm=ISOTROPIC, weights=[1, 3]
    )
    np.testing.assert_allclose(alone, [0.8 / 4])


def test_classes_are_not_fused_and_the_most_overlapping_box_is_joined():
    boxes = np.array([[0, 0, 0, 10, 10, 10], [4, 0, 0, 14, 10, 10]], dtype=float)
    other = (np.array([[3, 0, 0, 13, 10, 10]], dtype=float), np.array([0.3]), np.zeros(1))
    merged, _, _ = fused([(boxes, np.array([0.9, 0.6]), np.zeros(2)), other], threshold=0.5, spacing_mm=ISOTROPIC)
    assert len(merged) == 2
    np.testing.assert_allclose(merged[merged[:, 0] > 0, 0], (4 * 0.6 + 3 * 0.3) / 0.9)
    merged, _, classes = fused(
        [(boxes, np.array([0.9, 0.6]), np.array([0, 1])), other], threshold=0.5, spacing_mm=ISOTROPIC
    )
    assert sorted(classes.tolist()) == [0, 1]
    assert len(merged) == 2
    assert fused([], threshold=0.5, spacing_mm=ISOTROPIC)[0].shape == (0, 6)


def test_refusals():
    with pytest.raises(SettingsError, match=r"within 0 and 1, got 1\.5"):
        fused([], threshold=1.5, spacing_mm=ISOTROPIC)
    with pytest.raises(SettingsError, match="within 0 and 1, got -1"):
        best_of_windows(np.empty((0, 6)), np.empty(0), np.empty(0), threshold=-1, spacing_mm=ISOTROPIC)
    with pytest.raises(SettingsError, match="a weight above 0 for each of 0 passes"):
        fused([], threshold=0.5, spacing_mm=ISOTROPIC, weights=[1])
