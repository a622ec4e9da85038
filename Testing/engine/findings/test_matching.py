"""Findings of two dates are paired by place and size, and what became of them is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import Finding, Measurements
from SlicerCNNSegLib.engine.findings.matching import match_findings
from SlicerCNNSegLib.engine.findings.registration import Alignment

STAYED = Alignment(np.eye(4), 1.0)


def finding(id_: str, place, volume_mm3: float | None = 200.0, status: str = "undecided") -> Finding:
    measured = None if volume_mm3 is None else Measurements("solid", volume_mm3, 7, 7, 0, -100, volume_mm3, 7)
    return Finding(id_, OrientedBox(tuple(place), (7, 7, 7)), 0.9, measurements=measured, status=status)


def test_grown_shrunk_stable_new_and_gone():
    earlier = [finding("a", (0, 0, 0)), finding("b", (50, 0, 0)), finding("c", (0, 50, 0)), finding("d", (0, 0, 90))]
    later = [
        finding("1", (2, 0, 0), 420.0),
        finding("2", (50, 1, 0), 205.0),
        finding("3", (0, 50, 3), 100.0),
        finding("4", (-60, 0, 0)),
    ]
    matches = match_findings(earlier, later, STAYED, 180)
    told = [(m.earlier, m.later, m.verdict) for m in matches]
    assert told == [
        ("a", "1", "grown"),
        ("b", "2", "stable"),
        ("c", "3", "shrunk"),
        (None, "4", "new"),
        ("d", None, "gone"),
    ]
    assert matches[0].distance_mm == pytest.approx(2)
    assert matches[0].growth.doubling_days == pytest.approx(180 * np.log(2) / np.log(2.1))
    plain = json.loads(json.dumps(matches[1].to_json(), allow_nan=False))
    assert plain["growth"]["doubling_days_95"][1] is None
    assert matches[3].to_json()["growth"] is None


def test_the_whole_assignment_counts_not_the_nearest_pair():
    """The later nodule at 4 is nearest to both; only one pairing leaves none over."""
    earlier = [finding("a", (0, 0, 0)), finding("b", (6, 0, 0))]
    later = [finding("1", (4, 0, 0)), finding("2", (13, 0, 0))]
    assert [(m.earlier, m.later) for m in match_findings(earlier, later, STAYED, 10)] == [("a", "1"), ("b", "2")]


def test_size_decides_between_neighbours():
    earlier = [finding("small", (0, 0, 0), 60.0), finding("large", (4, 0, 0), 2000.0)]
    later = [finding("1", (2.1, 0, 0), 60.0), finding("2", (1.9, 0, 0), 2000.0)]
    assert [(m.earlier, m.later) for m in match_findings(earlier, later, STAYED, 10)] == [
        ("small", "1"),
        ("large", "2"),
    ]


def test_the_gate():
    assert match_findings([finding("a", (0, 0, 0))], [finding("1", (14.9, 0, 0))], STAYED, 10)[0].earlier == "a"
    told = match_findings([finding("a", (0, 0, 0))], [finding("1", (15.1, 0, 0))], STAYED, 10)
    assert [m.verdict for m in told] == ["new", "gone"]


def test_places_go_through_the_alignment():
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (5, 10, -8), degrees=True).as_matrix()
    matrix[:3, 3] = (30, -20, 60)
    moved = Alignment(matrix, 1.0)
    later = [finding("1", (10, 20, 30)), finding("2", (-40, 5, 0))]
    earlier = [finding(x.id, moved.earlier_from_later(np.array(x.center_ras_mm))) for x in later]
    matches = match_findings(earlier, later, moved, 10)
    assert [(m.earlier, m.later) for m in matches] == [("1", "1"), ("2", "2")]
    assert max(m.distance_mm for m in matches) < 1e-9
    box = moved.box_at_later(earlier[0].box)
    np.testing.assert_allclose(box.center_ras_mm, (10, 20, 30), atol=1e-9)
    np.testing.assert_allclose(matrix[:3, :3] @ box.axes, earlier[0].box.axes, atol=1e-9)


def test_rejected_and_unmeasured_findings():
    told = match_findings([finding("a", (0, 0, 0), status="rejected")], [finding("1", (0, 0, 0))], STAYED, 10)
    assert [m.verdict for m in told] == ["new"]
    (match,) = match_findings([finding("a", (0, 0, 0), None)], [finding("1", (0, 0, 0))], STAYED, 10)
    assert (match.verdict, match.growth) == ("", None)
    assert match_findings([], [], STAYED, 10) == []
