"""What a result counts, against numpy over the whole labelmap."""

from __future__ import annotations

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import GeometryError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.overlaps import Compound
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult, foreground_box
from SlicerCNNSegLib.engine.volume import Geometry

RECORD = RunRecord("segmentation", "m", "1", "0", {}, "cpu", "fp32", {}, (), {}, (), "now")
LABELS = tuple(Label(value, f"label {value}", (1.0, 0.0, 0.0)) for value in (1, 3, 300))


def a_result(labelmap, **more):
    return SegmentationResult(labelmap, Geometry(labelmap.shape, np.diag([2, 2, 1.5, 1])), LABELS, RECORD, **more)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64])
def test_every_label_is_counted_wherever_it_lies(kind):
    labelmap = np.zeros((9, 10, 11), kind)
    labelmap[2:8, 3:4, 5:] = np.random.default_rng(0).integers(0, 5, (6, 1, 6))
    labelmap[2, 3, 10] = labelmap[7, 3, 5] = 1  # the box's corners
    whole = Compound(Label(301, "odd", (0.0, 0.0, 0.0)), frozenset({1, 3, 299}))
    rows = {row.name: row for row in a_result(labelmap, compounds=(whole,)).structures}
    assert rows["label 1"].voxels == (labelmap == 1).sum()
    assert rows["label 3"].voxels == (labelmap == 3).sum()
    assert rows["label 300"].voxels == 0
    assert rows["odd"].voxels == np.isin(labelmap, (1, 3)).sum()
    assert rows["label 1"].volume_mm3 == 6 * rows["label 1"].voxels


def test_an_empty_labelmap_has_rows_of_nothing():
    assert [row.voxels for row in a_result(np.zeros((2, 3, 4), np.uint8)).structures] == [0, 0, 0]


def test_the_foreground_is_the_box_of_all_labels():
    labelmap = np.zeros((9, 10, 11), np.uint8)
    assert foreground_box(labelmap) is None
    labelmap[2, 3, 4] = labelmap[7, 3, 10] = 1
    assert foreground_box(labelmap) == (slice(2, 8), slice(3, 4), slice(4, 11))


def test_a_labelmap_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match=r"Expected a labelmap of shape \(k, j, i\) \(1, 2, 3\), got \(1, 2, 4\)"):
        SegmentationResult(np.zeros((1, 2, 4), np.uint8), Geometry((1, 2, 3), np.eye(4)), LABELS, RECORD)
