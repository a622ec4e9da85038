"""The tab Detect & follow up, with real worker processes whose answers are known."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from desktop.task_tabs import SMALL, add_roi, add_segments, nodes, run_to_end
from PySide6 import QtCore, QtGui, QtWidgets
from tiny_detector import write_tiny_detector
from worker_behaviours import LAUNCH_WITH_TINY_DETECTOR

DEMO_TITLE = "Lung nodules (CT), demonstration on made-up chests"
DEMO_USE = "Demonstration only. Not a medical device."
FINDING_COLUMN, REVIEW_COLUMN, CHANGE_COLUMN = 0, 1, 3


@pytest.fixture(scope="module")
def detectors(a_models_folder):
    """Besides ``balls``: a detector that cannot be run, and a demonstration."""
    broken = write_tiny_detector(a_models_folder / "no-score")
    change(broken / "configs" / "inference.json", lambda plain: plain["cnnseg"].pop("candidate_score"))
    demo = write_tiny_detector(a_models_folder / "z-demo")
    change(demo / "configs" / "metadata.json", lambda plain: plain.update(intended_use=DEMO_USE))
    change(demo / "configs" / "metadata.json", lambda plain: plain["cnnseg"].update(title=DEMO_TITLE))
    yield
    for folder in (broken, demo):
        shutil.rmtree(folder)


def change(path, how):
    plain = json.loads(path.read_text(encoding="utf-8"))
    how(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")


@pytest.fixture
def a_ct(a_volume):
    return lambda name="chest": a_volume(name, modality="CT")


@pytest.fixture
def a_tab(detectors, a_panel, behaviour):
    """The panel with the tab Detect & follow up shown."""
    a_panel.ui.taskTabs.currentIndex = 1
    return a_panel


def column(view, number):
    return [view.model().index(row, number).data() for row in range(view.model().rowCount())]


def shown_rois():
    return sorted(roi.GetName() for roi in nodes("vtkMRMLMarkupsROINode") if roi.GetDisplayVisibility())


@pytest.mark.parametrize(
    ("kind", "regions"), [("roi", ["ras:6,14,7,13,7,17"]), ("segments", ["ras:1,12,1,11,2,11.5"]), ("whole", [])]
)
def test_a_region_is_searched_and_kept(desktop, a_tab, a_ct, behaviour, kind, regions):
    volume = a_ct()
    around = {"roi": add_roi, "segments": lambda: add_segments(volume, {"Mass": (5, 5, 4)}), "whole": lambda: None}
    selector, margin = a_tab.ui.detectRegionSelector, a_tab.ui.detectMarginSpinBox
    selector.setCurrentNode(around[kind]())
    assert margin.visible == (kind == "segments")
    margin.value = 4.0
    a_tab.ui.mirrorCheckBox.checked = kind == "roi"
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["regions"] == regions
    assert behaviour.notes["settings"]["mirror"] == (kind == "roi")
    assert a_tab.ui.statusLabel.text.startswith("Done in ")
    desktop.close(a_tab)
    again = desktop.open("SlicerCNNSeg")
    chosen = again.ui.detectRegionSelector.currentNode()
    assert (chosen.GetName() if chosen else None) == {"roi": "box", "segments": "drawn", "whole": None}[kind]
    assert again.ui.detectMarginSpinBox.value == 4.0
    a_tab.setup()  # the fixture closes it once more
    desktop.close(again)


def press(view, key):
    view.setFocus()
    for kind in (QtCore.QEvent.Type.ShortcutOverride, QtCore.QEvent.Type.KeyPress, QtCore.QEvent.Type.KeyRelease):
        event = QtGui.QKeyEvent(kind, getattr(QtCore.Qt.Key, f"Key_{key}"), QtCore.Qt.KeyboardModifier.NoModifier, key)
        QtWidgets.QApplication.sendEvent(view, event)


def test_detectors_are_listed_by_themselves_the_unusable_greyed_a_demonstration_says_so(a_tab):
    box = a_tab.ui.detectorComboBox
    titles = ["Balls", "broken (cannot be used)", "no-score (cannot be used)", DEMO_TITLE]
    assert [box.itemText(n) for n in range(box.count)] == titles
    assert not box.model().item(2).flags() & QtCore.Qt.ItemFlag.ItemIsEnabled
    assert "candidate_score" in box.model().item(2).toolTip()
    assert a_tab.ui.detectorInfoLabel.text == f"Finds: Nodule\nImages: CT. Licence: Apache-2.0. {SMALL}"
    box.currentText = DEMO_TITLE
    told = a_tab.ui.detectorInfoLabel.text.splitlines()
    assert (told[0], told[-1]) == (DEMO_TITLE, DEMO_USE), "a long title is told in full"
    assert box.toolTip.startswith(f"<b>{DEMO_TITLE}</b>")


def test_findings_are_shown_with_their_warnings(desktop, a_tab, a_ct, behaviour):
    from SlicerCNNSegLib.scene.records import record_of

    a_ct()
    a_tab.ui.detectorComboBox.currentText = DEMO_TITLE
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["model"] == "z-demo"
    assert behaviour.notes["settings"]["threshold"] is None
    said = a_tab.ui.statusLabel.text.splitlines()
    assert said[0].endswith(" s: 5 findings.")
    assert said[1:] == ["Mind the gap."]
    (table,) = nodes("vtkMRMLTableNode")
    assert record_of(table)["warnings"] == said[1:]
    view = a_tab.ui.findingsTableView
    assert column(view, FINDING_COLUMN) == ["N01", "N02", "N03", "N04", "N05"]
    assert [view.isColumnHidden(n) for n in (CHANGE_COLUMN, 9, 10, 11)] == [True] * 4
    assert len(nodes("vtkMRMLMarkupsROINode")) == 12
    assert shown_rois() == [f"Nodule N0{n}" for n in range(1, 6)]
    a_tab.ui.taskTabs.currentIndex = 0
    assert not a_tab.ui.findingsCollapsibleButton.visible


def test_the_slider_hides_and_shows_at_once(desktop, a_tab, a_ct):
    a_ct()
    run_to_end(desktop, a_tab)
    slider, view = a_tab.ui.thresholdSlider, a_tab.ui.findingsTableView
    assert slider.value == pytest.approx(0.6)
    slider.value = 0.0
    assert len(column(view, FINDING_COLUMN)) == len(shown_rois()) == 12
    view.selectRow(2)
    slider.value = 0.75
    assert column(view, FINDING_COLUMN) == ["N01", "N02", "N03"]
    assert shown_rois() == ["Nodule N01", "Nodule N02", "Nodule N03"]
    assert a_tab.ui.findingsCountLabel.text == "3 of 12 candidates shown; 0 accepted, 0 rejected"
    assert view.currentIndex().row() == 2, "the selected finding stays selected"


def test_a_click_shows_the_finding_in_all_slice_views(desktop, a_tab, a_ct):
    import slicer

    from SlicerCNNSegLib.scene.findings import findings_of

    volume = a_ct()
    views = []
    for name in ("Red", "Green"):
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
        view.SetLayoutName(name)
        view.SetOrientation("Axial" if name == "Red" else "Coronal")
        views.append(view)
    run_to_end(desktop, a_tab)
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 100.0)
    shift.SetMatrixTransformToParent(matrix)
    table = a_tab.ui.findingsTableView.mrmlTableNode()
    center = findings_of(table)[3].center_ras_mm
    a_tab.ui.findingsTableView.selectRow(3)
    offsets = [view.GetSliceToRAS().GetElement(axis, 3) for view, axis in zip(views, (2, 1), strict=True)]
    assert offsets == pytest.approx([center[2], center[1]], abs=1e-3)
    for node in (volume, *nodes("vtkMRMLMarkupsROINode")):
        node.SetAndObserveTransformNodeID(shift.GetID())
    a_tab.ui.findingsTableView.selectRow(0)
    a_tab.ui.findingsTableView.selectRow(3)
    assert views[0].GetSliceToRAS().GetElement(2, 3) == pytest.approx(center[2] + 100, abs=1e-3), "it moved along"


def test_keys_and_buttons_review_and_go_on_to_the_next(desktop, a_tab, a_ct):
    a_ct()
    run_to_end(desktop, a_tab)
    view = a_tab.ui.findingsTableView
    a_tab.ui.acceptButton.click()
    assert column(view, REVIEW_COLUMN) == ["undecided"] * 5, "nothing is selected"
    view.selectRow(0)
    press(view, "A")
    assert view.currentIndex().row() == 1
    press(view, "R")
    a_tab.ui.acceptButton.click()
    assert column(view, REVIEW_COLUMN) == ["accepted", "rejected", "accepted", "undecided", "undecided"]
    assert "Nodule N02" not in shown_rois()
    assert a_tab.ui.findingsCountLabel.text == "5 of 12 candidates shown; 2 accepted, 1 rejected"
    view.selectRow(2)
    press(view, "U")
    assert column(view, REVIEW_COLUMN)[2] == "undecided"


def test_a_saved_scene_brings_findings_threshold_and_review_back(desktop, a_tab, a_ct, tmp_path):
    import slicer

    a_ct()
    run_to_end(desktop, a_tab)
    a_tab.ui.thresholdSlider.value = 0.0
    view = a_tab.ui.findingsTableView
    assert len(column(view, FINDING_COLUMN)) == 12
    a_tab.ui.thresholdSlider.value = 0.3
    view.selectRow(0)
    press(view, "A")
    press(view, "R")
    before = [[view.model().index(r, c).data() for c in range(12)] for r in range(view.model().rowCount())]
    rois = shown_rois()
    scene = slicer.mrmlScene
    assert scene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path), None)
    desktop.clear_scene()
    assert not a_tab.ui.findingsCollapsibleButton.visible
    assert nodes("vtkMRMLMarkupsROINode") == []
    scene.SetURL(str(next(tmp_path.glob("*.mrml"))))
    scene.Import()
    desktop.process_events()
    assert a_tab.ui.taskTabs.currentIndex == 1
    assert a_tab.ui.findingsCollapsibleButton.visible
    assert a_tab.ui.thresholdSlider.value == pytest.approx(0.3)
    after = [[view.model().index(r, c).data() for c in range(12)] for r in range(view.model().rowCount())]
    assert after == before
    assert len(after) == 9
    assert [row[1] for row in after[:3]] == ["accepted", "rejected", "undecided"]
    assert shown_rois() == rois
    a_tab.ui.thresholdSlider.value = 0.75
    assert column(view, FINDING_COLUMN) == ["N01", "N02", "N03"], "and goes on there"


def test_a_new_run_hides_the_old_findings_which_may_be_chosen_again(desktop, a_tab, a_ct):
    a_ct()
    run_to_end(desktop, a_tab)
    (first,) = nodes("vtkMRMLTableNode")
    run_to_end(desktop, a_tab)
    assert len(nodes("vtkMRMLTableNode")) == 2
    assert len(shown_rois()) == 5
    assert len(nodes("vtkMRMLMarkupsROINode")) == 24
    a_tab.ui.findingsSelector.setCurrentNode(first)
    assert a_tab.ui.findingsTableView.mrmlTableNode() is first
    shown = {roi.GetID() for roi in nodes("vtkMRMLMarkupsROINode") if roi.GetDisplayVisibility()}
    assert shown == {first.GetNthNodeReferenceID("CNNSeg.FindingROI", n) for n in range(5)}


def two_dates(desktop, panel, a_ct):
    """Findings of two CTs; gives both tables."""
    for name in ("then", "now"):
        panel._parameterNode.inputVolume = a_ct(name)
        run_to_end(desktop, panel)
    return nodes("vtkMRMLTableNode")


def test_a_follow_up_tells_what_is_new_grown_and_gone(desktop, a_tab, a_ct, behaviour):
    then, _now = two_dates(desktop, a_tab, a_ct)
    ui = a_tab.ui
    assert ui.compareButton.toolTip == "Choose the findings of an earlier date; detect in its CT first."
    ui.earlierFindingsSelector.setCurrentNode(then)
    assert ui.compareButton.toolTip == "Set both dates."
    ui.laterDateEdit.date = QtCore.QDate(2025, 7, 1)
    ui.earlierDateEdit.date = QtCore.QDate(2025, 8, 1)
    assert ui.compareButton.toolTip == "The earlier date must lie before the later one."
    assert not ui.compareButton.enabled
    ui.earlierDateEdit.date = QtCore.QDate(2025, 1, 1)
    run_to_end(desktop, a_tab, ui.compareButton)
    assert behaviour.notes["volumes"] == ["then", "now"]
    assert behaviour.notes["settings"]["days"] == 181
    said = ui.statusLabel.text.splitlines()
    assert said[0].endswith(" s: 1 in both, 4 new, 1 gone.")
    assert said[1:] == ["The two dates are poorly aligned."]
    view = ui.findingsTableView
    assert not view.isColumnHidden(CHANGE_COLUMN)
    assert column(view, CHANGE_COLUMN) == ["grown +50%, doubles in 309 days", "new", "new", "new", "new", "gone"]
    assert column(view, FINDING_COLUMN)[-1] == "earlier-N02"
    view.selectRow(5)
    press(view, "A")
    assert column(view, REVIEW_COLUMN)[-1] == "", "of what is gone nobody says anything"
    ui.thresholdSlider.value = 0.8
    assert column(view, CHANGE_COLUMN) == ["grown +50%, doubles in 309 days", "new", "gone"], "it stays"
    parameters = a_tab.logic.getParameterNode()
    assert (parameters.earlierDate, parameters.laterDate) == ("2025-01-01", "2025-07-01")


def test_dates_of_dicom_studies_are_filled_in(desktop, a_tab, a_ct):
    import slicer

    then, _now = two_dates(desktop, a_tab, a_ct)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for name, told in (("then", "20240229"), ("now", "20250301")):
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), name)
        hierarchy.SetItemAttribute(study, "DICOM.StudyDate", told)
        node = next(one for one in nodes("vtkMRMLScalarVolumeNode") if one.GetName() == name)
        hierarchy.CreateItem(study, node)
    a_tab.ui.earlierFindingsSelector.setCurrentNode(then)
    assert a_tab.ui.earlierDateEdit.date == QtCore.QDate(2024, 2, 29)
    assert a_tab.ui.laterDateEdit.date == QtCore.QDate(2025, 3, 1)
    assert a_tab.ui.compareButton.enabled


def test_findings_are_written_as_table_json_and_page(desktop, a_tab, a_ct, monkeypatch, tmp_path):
    import qt
    import slicer

    from SlicerCNNSegLib.engine.findings.tables import read_findings_csv, read_findings_json

    a_ct()
    run_to_end(desktop, a_tab)
    folders, asked = [str(tmp_path), "", str(tmp_path), str(tmp_path)], []
    dialog = SimpleNamespace(getExistingDirectory=lambda *_: folders.pop(0))
    monkeypatch.setattr(qt, "QFileDialog", dialog, raising=False)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, *_: asked.append(text) or len(asked) > 1)
    run_to_end(desktop, a_tab, a_tab.ui.exportButton)
    names = [f"Findings.findings.{suffix}" for suffix in ("csv", "html", "json")]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("Findings")) == names
    assert a_tab.ui.statusLabel.text.startswith(f"Written to {tmp_path}: Findings.findings.csv, ")
    found = read_findings_json(tmp_path / names[2])
    assert [one.id for one in found] == ["N01", "N02", "N03", "N04", "N05"]
    assert read_findings_csv(tmp_path / names[0]) == found
    assert (tmp_path / names[1]).read_text(encoding="utf-8") == "<h1>chest</h1>"
    a_tab.ui.exportButton.click()  # no folder was chosen
    assert not a_tab.logic.running
    (tmp_path / names[1]).write_text("mine", encoding="utf-8")
    a_tab.ui.exportButton.click()  # and this time the user does not want them replaced
    assert not a_tab.logic.running
    assert (tmp_path / names[1]).read_text(encoding="utf-8") == "mine"
    run_to_end(desktop, a_tab, a_tab.ui.exportButton)
    assert (tmp_path / names[1]).read_text(encoding="utf-8") == "<h1>chest</h1>"


def test_a_ct_that_was_moved_or_removed_is_not_written_about(desktop, a_tab, a_ct, monkeypatch, tmp_path):
    import qt
    import slicer

    volume = a_ct()
    run_to_end(desktop, a_tab)
    dialog = SimpleNamespace(getExistingDirectory=lambda *_: str(tmp_path))
    monkeypatch.setattr(qt, "QFileDialog", dialog, raising=False)
    volume.SetOrigin(*np.add(volume.GetOrigin(), 5))
    a_tab.ui.exportButton.click()
    assert a_tab.ui.statusLabel.text == "The volume chest was moved since its findings were made; detect again."
    slicer.mrmlScene.RemoveNode(volume)
    a_tab.ui.exportButton.click()
    assert a_tab.ui.statusLabel.text == "The volume of Findings is not in the scene; load it and detect again."
    assert list(tmp_path.glob("Findings*")) == []


def test_two_real_dates_from_apply_to_the_page(desktop, a_panel, monkeypatch, tmp_path):
    """Two balls in a chest, later one of them: found, compared and written, with a worker that loads torch."""
    import qt
    import slicer
    from tiny_detector import BALLS_RAS_MM, chest

    from SlicerCNNSegLib.scene.volumes import node_from_volume

    monkeypatch.setattr("SlicerCNNSegLib.worker.client.LAUNCH", LAUNCH_WITH_TINY_DETECTOR)
    a_panel.ui.taskTabs.currentIndex = 1
    parameters = a_panel.logic.getParameterNode()
    parameters.device = "cpu"
    for name, volume in (("then", chest()), ("now", chest(BALLS_RAS_MM[:1], seed=1, shift_mm=12.0))):
        parameters.inputVolume = node_from_volume(slicer.mrmlScene, volume, name)
        run_to_end(desktop, a_panel)
    parameters.earlierFindings = nodes("vtkMRMLTableNode")[0]
    parameters.earlierDate, parameters.laterDate = "2025-01-01", "2025-04-11"
    view = a_panel.ui.findingsTableView
    assert column(view, FINDING_COLUMN) == ["N01"]
    run_to_end(desktop, a_panel, a_panel.ui.compareButton)
    assert a_panel.ui.statusLabel.text.splitlines()[0].endswith(" s: 1 in both, 0 new, 1 gone.")
    changes = column(view, CHANGE_COLUMN)
    assert changes[0].startswith("stable ")
    assert changes[1] == "gone"
    dialog = SimpleNamespace(getExistingDirectory=lambda *_: str(tmp_path))
    monkeypatch.setattr(qt, "QFileDialog", dialog, raising=False)
    run_to_end(desktop, a_panel, a_panel.ui.exportButton)
    (page,) = (path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html"))
    assert page.count("data:image/png;base64,") == 1
    assert "Against the earlier date" in page
