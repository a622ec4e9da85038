"""The panel in a real Qt event loop, with a real scene; in most tests a fake command line."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.engine.catalogue import CatalogueEntry

ADVANCED = "tick 'Go on if the modality does not fit' under Advanced"


def run_to_end(desktop, panel):
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: not panel.logic.running)


def start_hanging(desktop, panel, notes):
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: panel.ui.statusLabel.text == "Running the network")
    return json.loads(notes.read_text(encoding="utf-8"))


def gone(*pids):
    """Whether none of the processes is at work any more."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def nodes(kind):
    import slicer

    return list(slicer.mrmlScene.GetNodesByClass(kind))


def run_folders():
    import slicer

    return list(Path(slicer.app.temporaryPath).glob("cnnseg-*"))


def test_an_empty_scene_says_what_is_missing(a_panel):
    assert not a_panel.ui.applyButton.enabled
    assert a_panel.ui.hintLabel.text == "Choose an input volume."
    assert a_panel.ui.statusLabel.text == ""
    assert not a_panel.ui.resultsCollapsibleButton.visible


def test_models_are_listed_with_what_they_find(a_panel):
    box = a_panel.ui.modelComboBox
    assert [box.itemText(n) for n in range(box.count)] == ["broken (cannot be used)", "Test model", "Test model"]
    assert a_panel.ui.modelInfoLabel.text == "Finds: Blob\nImages: MR. Licence: Apache-2.0"


def test_texts_of_models_and_files_are_shown_as_they_are(a_panel, monkeypatch):
    from PySide6.QtCore import Qt

    labels = (a_panel.ui.modelInfoLabel, a_panel.ui.statusLabel, a_panel.ui.hintLabel)
    assert all(label.textFormat == Qt.TextFormat.PlainText for label in labels)
    choice = a_panel._models
    package = choice.entry.package
    monkeypatch.setattr(choice, "_entries", [CatalogueEntry("m", package.folder, replace(package, description="<b>"))])
    choice._combo_box.currentIndex = 0
    choice._describe()
    assert choice._combo_box.toolTip == "&lt;b&gt;"


def test_a_broken_model_says_why_and_cannot_be_applied(a_panel, a_volume):
    a_volume()
    a_panel.ui.modelComboBox.currentIndex = 0
    assert a_panel.ui.modelInfoLabel.text == "The model broken lacks configs/metadata.json."
    assert a_panel.ui.hintLabel.text == "Choose a model."
    assert not a_panel.ui.applyButton.enabled


def test_a_model_of_two_channels_points_to_the_console(a_panel, a_volume):
    a_volume()
    a_panel.ui.modelComboBox.currentIndex = 2
    assert a_panel.logic.getParameterNode().model == "two-channels"
    assert "needs 2 images; use segment_volume_node" in a_panel.ui.hintLabel.text


def test_no_model_at_all_says_where_to_put_one(desktop, a_panel, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path))
    a_panel.enter()
    assert a_panel.ui.modelInfoLabel.text == f"There is no model; put a model folder into {tmp_path}."


def test_apply_gives_a_segmentation_and_its_volumes(desktop, a_panel, a_volume):
    """The one test here with the real command line: it loads torch, which takes seconds."""
    import slicer

    from SlicerCNNSegLib.scene.records import record_of

    volume = a_volume("MRHead")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    assert a_panel.ui.applyButton.enabled
    run_to_end(desktop, a_panel)
    (segmentation,), (table,) = nodes("vtkMRMLSegmentationNode"), nodes("vtkMRMLTableNode")
    assert segmentation.GetName() == "MRHead segmentation"
    assert segmentation.GetTransformNodeID() == transform.GetID()
    assert segmentation.GetSegmentation().GetNthSegment(0).GetName() == "Blob"
    record = record_of(segmentation)
    assert record["inputs"][0]["source"] == "MRHead"
    assert record["inputs"][0]["identifiers"]["node_id"] == volume.GetID()
    assert table.GetCellText(0, 0) == "Blob"
    assert float(table.GetCellText(0, 2)) == pytest.approx(1.5 * int(table.GetCellText(0, 1)), abs=0.1)
    assert a_panel.ui.volumesTableView.model().rowCount() == 1
    assert a_panel.ui.resultsCollapsibleButton.visible
    assert a_panel.ui.statusLabel.text.endswith("MRHead segmentation.")
    assert not a_panel.ui.progressBar.visible
    assert a_panel.ui.applyButton.enabled
    assert run_folders() == []


def test_what_is_chosen_is_what_is_asked_for(desktop, a_panel, a_volume, a_fake_command):
    import slicer
    import vtk

    a_volume()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetSize(8, 6, 10)
    roi.SetCenter(vtk.vtkVector3d(10, 10, 12))
    notes = a_fake_command("silent")
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_panel.ui.deviceComboBox.currentText = "cpu"
    a_panel.ui.precisionComboBox.currentText = "fp32"
    a_panel.ui.mirrorCheckBox.checked = True
    run_to_end(desktop, a_panel)
    arguments = json.loads(notes.read_text(encoding="utf-8"))["arguments"]
    assert arguments[0] == "segment"
    assert "--roi-ras=6.0,14.0,7.0,13.0,7.0,17.0" in arguments
    for option, value in (("--model", "tiny-mr"), ("--device", "cpu"), ("--precision", "fp32")):
        assert arguments[arguments.index(option) + 1] == value
    assert "--tta" in arguments
    assert "--force" not in arguments


def test_progress_is_shown_and_a_second_apply_is_refused(desktop, a_panel, a_volume, a_fake_command):
    from SlicerCNNSegLib.engine.errors import InputError

    a_volume()
    start_hanging(desktop, a_panel, a_fake_command("hang"))
    assert a_panel.ui.progressBar.value == 49
    assert a_panel.ui.progressBar.visible
    assert a_panel.ui.cancelButton.visible
    assert not a_panel.ui.applyButton.enabled
    assert not a_panel.ui.inputsCollapsibleButton.enabled
    with pytest.raises(InputError, match="A segmentation is under way"):
        a_panel.logic.start(a_panel.logic.getParameterNode(), lambda *_: None, lambda _: None)


def test_cancel_ends_every_process_and_leaves_nothing(desktop, a_panel, a_volume, a_fake_command):
    a_volume()
    seen = start_hanging(desktop, a_panel, a_fake_command("hang"))
    assert len(run_folders()) == 1
    a_panel.ui.cancelButton.click()
    desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
    assert a_panel.ui.statusLabel.text == "Cancelled."
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert nodes("vtkMRMLSegmentationNode") == []
    assert run_folders() == []
    assert a_panel.ui.applyButton.enabled


def test_an_input_removed_meanwhile_stops_the_run(desktop, a_panel, a_volume, a_fake_command):
    import slicer

    volume = a_volume()
    seen = start_hanging(desktop, a_panel, a_fake_command("hang"))
    slicer.mrmlScene.RemoveNode(volume)
    desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
    assert "input volume was removed from the scene" in a_panel.ui.statusLabel.text
    desktop.wait_until(lambda: gone(seen["pid"]), timeout_s=10)
    assert nodes("vtkMRMLSegmentationNode") == []


def test_closing_the_scene_stops_the_run(desktop, a_panel, a_volume, a_fake_command):
    a_volume()
    seen = start_hanging(desktop, a_panel, a_fake_command("hang"))
    desktop.clear_scene()
    desktop.wait_until(lambda: gone(seen["pid"]), timeout_s=10)
    assert not a_panel.logic.running
    assert a_panel.ui.hintLabel.text == "Choose an input volume."


def test_closing_the_module_leaves_no_process(desktop, a_volume, a_fake_command):
    panel = desktop.open("SlicerCNNSeg")
    panel.logic.getParameterNode().model = "tiny-mr"
    a_volume()
    seen = start_hanging(desktop, panel, a_fake_command("hang"))
    desktop.close(panel)
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not panel.logic.running


def test_a_run_goes_on_while_another_module_is_open(desktop, a_panel, a_volume, a_fake_command):
    a_volume()
    start_hanging(desktop, a_panel, a_fake_command("hang"))
    a_panel.exit()
    a_panel.enter()
    assert a_panel.logic.running
    assert a_panel.ui.cancelButton.visible


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("fail", "No good."),
        ("die", "The process ended unexpectedly"),
        ("silent", "The process ended with status 3 and no result."),
    ],
)
def test_a_failure_is_one_clear_message_with_details(desktop, a_panel, a_volume, a_fake_command, behaviour, problem):
    a_volume()
    a_fake_command(behaviour)
    run_to_end(desktop, a_panel)
    assert a_panel.ui.statusLabel.text.startswith(problem)
    assert not a_panel.ui.detailsText.visible
    a_panel.ui.detailsButton.click()
    assert a_panel.ui.detailsText.visible
    assert a_panel.ui.detailsText.plainText.endswith("something of torch's")
    assert a_panel.ui.detailsButton.text == "Hide details"
    assert nodes("vtkMRMLSegmentationNode") == []


def test_a_python_that_cannot_be_started(desktop, a_panel, a_volume, monkeypatch):
    a_volume()
    monkeypatch.setattr("SlicerCNNSeg.child_python", lambda: "/nowhere/python")
    run_to_end(desktop, a_panel)
    assert a_panel.ui.statusLabel.text == "/nowhere/python could not be started; is it installed?"
    assert run_folders() == []


def test_another_modality_is_refused_in_the_panels_words(desktop, a_panel, a_volume, a_fake_command):
    a_volume("ct", modality="CT")
    notes = a_fake_command("fail")
    a_panel.ui.applyButton.click()
    assert "expects MR, but ct is tagged CT" in a_panel.ui.statusLabel.text
    assert ADVANCED in a_panel.ui.statusLabel.text
    assert not notes.exists()
    a_panel.ui.forceCheckBox.checked = True
    run_to_end(desktop, a_panel)
    assert "--force" in json.loads(notes.read_text(encoding="utf-8"))["arguments"]


def test_an_old_result_is_gone_when_a_run_starts(desktop, a_panel, a_volume, a_fake_command):
    import slicer

    a_volume()
    old = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old")
    old.GetSegmentation().AddEmptySegment("yesterday")
    a_panel.ui.outputSegmentationSelector.setCurrentNode(old)
    a_fake_command("fail")
    run_to_end(desktop, a_panel)
    assert old.GetSegmentation().GetNumberOfSegments() == 0
    assert not a_panel.ui.resultsCollapsibleButton.visible


def test_declined_packages_are_said(a_panel, a_volume, monkeypatch):
    import slicer.packaging

    def decline(requirements, requester):
        raise RuntimeError("User declined package installation")

    a_volume()
    monkeypatch.setattr(slicer.packaging, "pip_ensure", decline)
    a_panel.ui.applyButton.click()
    assert a_panel.ui.statusLabel.text == (
        "The Python packages of CNNSeg were not installed: User declined package installation"
    )
    assert not a_panel.logic.running


def test_the_modules_own_test_passes(desktop, monkeypatch, tmp_path):
    import SlicerCNNSeg

    write_tiny_model(tmp_path / SlicerCNNSeg.DEFAULT_MODEL, network=RANDOM_UNET)
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path))
    SlicerCNNSeg.SlicerCNNSegTest().runTest()
