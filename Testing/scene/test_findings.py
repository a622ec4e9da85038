"""Findings in a real scene: row, ROI and segment tied by id; threshold, review, saving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SlicerCNNSegLib.engine.detection.result import DetectionResult
from SlicerCNNSegLib.engine.errors import InputError, SettingsError
from SlicerCNNSegLib.engine.findings.boxes import box_from_corners
from SlicerCNNSegLib.engine.findings.finding import ACCEPTED, REJECTED, Finding, Measurements
from SlicerCNNSegLib.engine.findings.growth import growth
from SlicerCNNSegLib.engine.findings.match import Match
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.scene.finding_table import ID, KIND, MEAN, SCORE, STATUS, VOLUME, change_in_words
from SlicerCNNSegLib.scene.findings import (
    COLORS,
    FINDING,
    SEGMENTATION_ROLE,
    finding_of_segment,
    findings_of,
    review,
    rois_of,
    set_threshold,
    show_findings,
    threshold_of,
)
from SlicerCNNSegLib.scene.records import record_of
from SlicerCNNSegLib.scene.volumes import volume_from_node

SHAPE = (12, 14, 16)
SCORES = (0.9, 0.6, 0.2)
CORNERS = ([2, 2, 2, 5, 5, 5], [8, 7, 6, 12, 10, 8], [3, 9, 8, 5, 12, 10])
MEASURED = Measurements("solid", 120.0, 7.0, 5.0, 20.0, -40.0, 120.0, 6.0)
LEFT_HANDED = np.array([[-1.5, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1]])
ROTATED = np.array([[0.8, -1.2, 0.0, 10], [0.6, 1.6, 0.0, 20], [0, 0, -2.5, -30], [0, 0, 0, 1]])


@pytest.fixture
def a_detection(a_volume_node, a_record):
    """Makes a volume node and a detection on it with three candidates, two of them over the threshold."""

    def make(ijk_to_ras=LEFT_HANDED, parent=None):
        node = a_volume_node(np.zeros(SHAPE, np.int16), ijk_to_ras, name="CT")
        if parent is not None:
            node.SetAndObserveTransformNodeID(parent.GetID())
        volume = volume_from_node(node)
        grid = volume.geometry
        candidates, labelmap = [], np.zeros(SHAPE, np.uint8)
        for n, (score, corners) in enumerate(zip(SCORES, CORNERS, strict=True), start=1):
            box = box_from_corners(np.array(corners, float), grid)
            candidates.append(Finding(f"N0{n}", box, score, measurements=MEASURED if n == 1 else None))
            i, j, k, i1, j1, k1 = corners
            labelmap[k:k1, j:j1, i:i1] = n
        label = Label(1, "Nodule", (0.9, 0.6, 0.1))
        return node, DetectionResult(tuple(candidates), 0.5, labelmap, grid, label, a_record(volume), None)

    return make


def rows_of(table):
    ids, statuses = (table.GetTable().GetColumnByName(name) for name in (ID, STATUS))
    return [(ids.GetValue(n), statuses.GetValue(n)) for n in range(table.GetNumberOfRows())]


def shown_segments(table):
    segmentation = table.GetNodeReference(SEGMENTATION_ROLE)
    segments = segmentation.GetSegmentation()
    ids = [segments.GetNthSegmentID(n) for n in range(segments.GetNumberOfSegments())]
    display = segmentation.GetDisplayNode()
    return {finding_of_segment(segmentation, one): bool(display.GetSegmentVisibility(one)) for one in ids}


def shown_rois(table):
    return {roi.GetAttribute(FINDING): bool(roi.GetDisplayVisibility()) for roi in rois_of(table)}


def roi_corners(vtk, roi):
    """World coordinates of an ROI's eight corners."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(roi.GetObjectToWorldMatrix())
    size = np.empty(3)
    roi.GetSizeWorld(size)
    corners = []
    for signs in np.ndindex(2, 2, 2):
        point = [*((np.array(signs) - 0.5) * size), 1.0]
        corners.append(matrix.MultiplyPoint(point)[:3])
    return np.array(sorted(map(tuple, np.round(corners, 4))))


def test_each_candidate_has_a_row_a_roi_and_a_segment_of_its_id(a_scene, a_detection):
    node, result = a_detection()
    shown = show_findings(a_scene, result, node)
    assert rows_of(shown.table) == [("N01", "undecided"), ("N02", "undecided")]
    assert shown_rois(shown.table) == shown_segments(shown.table) == {"N01": True, "N02": True, "N03": False}
    assert findings_of(shown.table) == list(result.candidates)
    assert record_of(shown.table)["model_id"] == result.record.model_id
    cells = {name: shown.table.GetTable().GetColumnByName(name) for name in (MEAN, VOLUME, KIND, SCORE)}
    words = [[column.GetValue(row) for column in cells.values()] for row in range(2)]
    assert words[0][0] == "6.0"
    assert words[0][2] == "solid"
    assert words[1][:3] == ["\N{EN DASH}"] * 3, "it was not measured"
    assert [row[3] for row in words] == [f"{one.score:.2f}" for one in result.candidates[:2]]
    shown_texts = [
        shown.table.GetCellText(row, column)
        for row in range(shown.table.GetNumberOfRows())
        for column in range(shown.table.GetNumberOfColumns())
    ]
    assert "nan" not in shown_texts


@pytest.mark.parametrize("ijk_to_ras", [LEFT_HANDED, ROTATED])
def test_an_roi_is_the_findings_box_wherever_the_volume_moves(
    ijk_to_ras, a_scene, vtk, a_detection, a_linear_transform
):
    turn = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 9], [0, 0, 0, 1.0]])
    parent = a_linear_transform(turn)
    node, result = a_detection(ijk_to_ras, parent)
    shown = show_findings(a_scene, result, node)
    for roi, finding in zip(shown.rois, result.candidates, strict=True):
        wanted = np.array(sorted(map(tuple, np.round(finding.box.corners_ras_mm(), 4))))
        np.testing.assert_allclose(roi_corners(vtk, roi), wanted, atol=2e-3)
    more = vtk.vtkMatrix4x4()
    more.SetElement(0, 3, 100)
    parent.SetMatrixTransformToParent(more)  # the volume moves, and the ROI with it
    own = np.linalg.inv(turn) @ [*result.candidates[0].box.center_ras_mm, 1]
    middle = roi_corners(vtk, shown.rois[0]).mean(axis=0)
    np.testing.assert_allclose(middle, own[:3] + np.array([100, 0, 0]), atol=2e-3)


def test_what_was_found_is_seen_through_its_box_and_segment(a_scene, a_detection):
    node, detection = a_detection()
    shown = show_findings(a_scene, detection, node)
    for roi in shown.rois:
        assert roi.GetDisplayNode().GetFillVisibility(), "else there is no box in 3-D views"
        assert roi.GetDisplayNode().GetFillOpacity() == pytest.approx(0.05)
        assert not roi.GetDisplayNode().GetHandlesInteractive()
        assert not any(roi.GetNthControlPointVisibility(n) for n in range(roi.GetNumberOfControlPoints()))
    display = shown.segmentation.GetDisplayNode()
    assert display.GetOpacity2DFill() == pytest.approx(0.2)
    display.SetOpacity2DFill(0.7)  # the user's own choice stays
    again = show_findings(a_scene, detection, node, shown.table)
    assert again.segmentation.GetDisplayNode().GetOpacity2DFill() == pytest.approx(0.7)


def test_a_threshold_shows_and_hides_without_a_new_run(a_scene, a_detection):
    node, result = a_detection()
    table = show_findings(a_scene, result, node).table
    set_threshold(table, 0.1)
    assert [row[0] for row in rows_of(table)] == ["N01", "N02", "N03"]
    assert shown_rois(table) == shown_segments(table) == {"N01": True, "N02": True, "N03": True}
    set_threshold(table, 0.9)
    assert [row[0] for row in rows_of(table)] == ["N01"]
    assert shown_rois(table) == shown_segments(table) == {"N01": True, "N02": False, "N03": False}
    with pytest.raises(SettingsError, match=r"threshold from 0 to 1, got 7"):
        set_threshold(table, 7)
    assert threshold_of(table) == 0.9


def test_a_rejected_finding_keeps_its_row_and_leaves_the_views(a_scene, a_detection):
    node, result = a_detection()
    table = show_findings(a_scene, result, node).table
    assert review(table, "N01", REJECTED).status == REJECTED
    review(table, "N02", ACCEPTED)
    assert rows_of(table) == [("N01", "rejected"), ("N02", "accepted")]
    assert shown_rois(table)["N01"] is False
    assert shown_segments(table)["N01"] is False
    accepted = next(roi for roi in rois_of(table) if roi.GetAttribute(FINDING) == "N02")
    assert accepted.GetDisplayNode().GetSelectedColor() == pytest.approx(COLORS[ACCEPTED])
    with pytest.raises(InputError, match=r"one of the findings N01, N02, N03, got 'N9'"):
        review(table, "N9", ACCEPTED)
    with pytest.raises(InputError, match=r"accepted, rejected, undecided"):
        review(table, "N01", "perhaps")
    with pytest.raises(InputError, match=r"Expected a table of findings, got 'Other'"):
        findings_of(a_scene.AddNewNodeByClass("vtkMRMLTableNode", "Other"))


@pytest.mark.parametrize("suffix", ["mrb", "mrml"])
def test_a_saved_scene_keeps_findings_threshold_and_review(suffix, a_scene, a_new_scene, a_detection, tmp_path):
    node, result = a_detection()
    table = show_findings(a_scene, result, node).table
    set_threshold(table, 0.1)
    review(table, "N02", REJECTED)
    again = a_new_scene()
    if suffix == "mrb":
        assert a_scene.WriteToMRB(str(tmp_path / "case.mrb"), None)
        again.ReadFromMRB(str(tmp_path / "case.mrb"), True, None)
    else:
        (tmp_path / "case").mkdir()
        assert a_scene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path / "case"), None)
        again.SetURL(str(next((tmp_path / "case").glob("*.mrml"))))
        again.Import()
    kept = again.GetFirstNodeByClass("vtkMRMLTableNode")
    assert [one.status for one in findings_of(kept)] == ["undecided", "rejected", "undecided"]
    assert threshold_of(kept) == 0.1
    wanted = {"N01": True, "N02": False, "N03": True}
    assert shown_rois(kept) == shown_segments(kept) == wanted
    set_threshold(kept, 0.5)  # and goes on there
    assert shown_rois(kept) == shown_segments(kept) == {"N01": True, "N02": False, "N03": False}


def test_a_second_run_fills_the_same_nodes(a_scene, a_detection):
    node, result = a_detection()
    first = show_findings(a_scene, result, node)
    labelmap = np.where(result.labelmap == 1, 1, 0).astype(np.uint8)
    fewer = replace(result, candidates=result.candidates[:1], labelmap=labelmap)
    second = show_findings(a_scene, fewer, node, first.table)
    assert second.table is first.table
    assert second.segmentation is first.segmentation
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 1
    assert shown_rois(second.table) == shown_segments(second.table) == {"N01": True}


def test_without_its_volume_a_detection_lies_in_the_world(a_scene, vtk, a_detection):
    node, result = a_detection()
    a_scene.RemoveNode(node)
    shown = show_findings(a_scene, result, node)
    wanted = np.array(sorted(map(tuple, np.round(result.candidates[1].box.corners_ras_mm(), 4))))
    np.testing.assert_allclose(roi_corners(vtk, shown.rois[1]), wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("later_mm3", "words"),
    [(99.9, "stable +0%"), (90.0, "stable -10%"), (200.0, "grown +100%, doubles in 90 days"), (50.0, "shrunk -50%")],
)
def test_a_change_is_told_in_words(later_mm3, words):
    change = growth(100.0, later_mm3, 90)
    assert change_in_words(Match("N01", "N02", change.verdict, 1.0, change)) == words
