"""Regions around segments and points."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.classification.around import (
    regions_around_findings,
    regions_around_points,
    regions_around_segments,
)
from SlicerCNNSegLib.engine.errors import RegionError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import ACCEPTED, REJECTED, Finding
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.volume import Geometry

RED = (1.0, 0.0, 0.0)


def test_a_segments_box_has_its_margin_in_mm():
    geometry = Geometry((20, 20, 20), np.diag([-2.0, -1.0, 0.5, 1.0]))
    labelmap = np.zeros(geometry.shape_kji, np.uint8)
    labelmap[4:7, 8:10, 5] = 3
    labels = (Label(2, "Absent", RED), Label(3, "Nodule", RED))
    (region,) = regions_around_segments(labelmap, geometry, labels, margin_mm=4)
    assert (region.kind, region.name) == ("ras", "Nodule")
    assert region.bounds == (-14, -6, -13, -4, -2, 7)
    assert region.index_box(geometry) == ((3, 4, 0), (8, 14, 15))


def test_segments_of_one_name_stay_apart():
    labelmap = np.array([1, 2], np.uint8).reshape(1, 1, 2)
    labels = (Label(1, "Nodule", RED), Label(2, "Nodule", RED))
    regions = regions_around_segments(labelmap, Geometry((1, 1, 2), np.eye(4)), labels, 0.5)
    assert [region.name for region in regions] == ["Nodule", "Nodule (2)"]


def test_a_points_cube():
    (region,) = regions_around_points({"a": (1.0, -2.0, 3.0)}, 10)
    assert (region.name, region.bounds) == ("a", (-4, 6, -7, 3, -2, 8))


def test_findings_that_were_not_rejected_with_their_margin():
    turned = ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    findings = [
        Finding("n1", OrientedBox((1.0, -2.0, 3.0), (10.0, 4.0, 6.0), turned), 0.9, status=ACCEPTED),
        Finding("n2", OrientedBox((0.0, 0.0, 0.0), (2.0, 2.0, 2.0)), 0.8, status=REJECTED),
        Finding("n3", OrientedBox((0.0, 0.0, 0.0), (2.0, 2.0, 2.0)), 0.7),
    ]
    first, second = regions_around_findings(findings, margin_mm=1)
    assert (first.kind, first.name, second.name) == ("ras", "n1", "n3")
    np.testing.assert_allclose(first.bounds, (-2, 4, -8, 4, -1, 7))
    np.testing.assert_allclose(second.bounds, (-2, 2, -2, 2, -2, 2))


def test_nothing_to_look_at_is_told():
    geometry = Geometry((1, 1, 2), np.eye(4))
    with pytest.raises(RegionError, match=r"The segmentation is empty"):
        regions_around_segments(np.zeros((1, 1, 2), np.uint8), geometry, (Label(1, "a", RED),))
    with pytest.raises(RegionError, match=r"There are no points"):
        regions_around_points({}, 10)
    rejected = Finding("n2", OrientedBox((0.0, 0.0, 0.0), (2.0, 2.0, 2.0)), 0.8, status=REJECTED)
    for none in ([], [rejected]):
        with pytest.raises(RegionError, match=r"There are no findings to classify"):
            regions_around_findings(none)
