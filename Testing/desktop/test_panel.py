"""The panel in a real Qt event loop, with a real scene."""

from __future__ import annotations

from dataclasses import replace

import pytest
from desktop.task_tabs import SMALL, nodes, run_to_end
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.engine.catalogue import CatalogueEntry

ADVANCED = "tick 'Go on if the modality does not fit' under Advanced"


def test_an_empty_scene_says_what_is_missing(a_panel):
    assert not a_panel.ui.applyButton.enabled
    assert a_panel.ui.hintLabel.text == "Choose an input volume."
    assert a_panel.ui.statusLabel.text == ""
    assert not a_panel.ui.resultsCollapsibleButton.visible


def test_models_are_listed_with_what_they_find(a_panel):
    box = a_panel.ui.modelComboBox
    assert [box.itemText(n) for n in range(box.count)] == [
        "broken (cannot be used)",
        "Test model (tiny-mr)",
        "Test model (two-channels)",
    ]
    assert a_panel.ui.modelInfoLabel.text == f"Finds: Blob\nImages: MR. Licence: Apache-2.0. {SMALL}"


def test_texts_of_models_and_files_are_shown_as_they_are(a_panel, monkeypatch):
    from PySide6.QtCore import Qt

    labels = (a_panel.ui.modelInfoLabel, a_panel.ui.statusLabel, a_panel.ui.hintLabel)
    assert all(label.textFormat == Qt.TextFormat.PlainText for label in labels)
    choice = a_panel._tabs[0].models
    package = choice.entry.package
    monkeypatch.setattr(choice, "_entries", [CatalogueEntry("m", package.folder, replace(package, description="<b>"))])
    choice._combo_box.currentIndex = 0
    choice.describe()
    assert choice._combo_box.toolTip == "<b>Test model</b><br>&lt;b&gt;"


def test_a_broken_model_says_why_and_cannot_be_applied(a_panel, a_volume):
    a_volume()
    a_panel.ui.modelComboBox.currentIndex = 0
    assert a_panel.ui.modelInfoLabel.text == "The model broken lacks configs/metadata.json."
    assert a_panel.ui.hintLabel.text == "Choose a model."
    assert not a_panel.ui.applyButton.enabled


def test_models_that_cannot_be_used_are_greyed_with_the_reason(a_panel):
    from PySide6.QtCore import Qt

    items = [a_panel.ui.modelComboBox.model().item(n) for n in range(3)]
    assert [bool(item.flags() & Qt.ItemFlag.ItemIsEnabled) for item in items] == [False, True, True]
    assert items[0].toolTip() == "The model broken lacks configs/metadata.json."


def test_a_model_of_two_channels_gets_two_images(desktop, a_panel, a_volume, behaviour):
    first, second = a_volume("first"), a_volume("second")
    a_panel.ui.modelComboBox.currentIndex = 2
    assert a_panel.logic.getParameterNode().model == "two-channels"
    assert a_panel.ui.inputVolumeLabel.text == "T1:"
    assert a_panel.ui.inputVolume2Label.text == "T2:"
    assert a_panel.ui.inputVolume2Selector.visible
    assert not a_panel.ui.inputVolume3Selector.visible
    assert a_panel.ui.hintLabel.text == "Choose an image for T2."
    a_panel.ui.inputVolumeSelector.setCurrentNode(second)
    a_panel.ui.inputVolume2Selector.setCurrentNode(first)
    run_to_end(desktop, a_panel)
    assert behaviour.notes["volumes"] == ["second", "first"]
    a_panel.ui.modelComboBox.currentIndex = 1
    assert a_panel.ui.inputVolumeLabel.text == "Input volume:"
    assert not a_panel.ui.inputVolume2Selector.visible


def test_no_model_at_all_says_where_to_put_one(desktop, a_panel, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path))
    a_panel.enter()
    assert a_panel.ui.modelInfoLabel.text == f"There is no model; put a model folder into {tmp_path}."


def test_apply_gives_a_segmentation_and_its_volumes(desktop, a_panel, a_volume):
    """The one test here with a worker that loads torch, which takes seconds."""
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


def test_of_many_warnings_the_first_are_shown_and_all_are_details(a_panel):
    warnings = [f"Finding {n} is unlike the others." for n in range(100)]
    a_panel._status.show_result("Done.", warnings)
    ui = a_panel.ui
    assert ui.statusLabel.text.splitlines() == ["Done.", *warnings[:4], "And 96 more warnings: see the details."]
    assert ui.detailsText.plainText.splitlines() == warnings
    assert ui.detailsButton.visible
    a_panel._status.show_result("Done.", warnings[:4])
    assert ui.statusLabel.text.splitlines() == ["Done.", *warnings[:4]]
    assert not ui.detailsButton.visible


def test_another_modality_is_refused_in_the_panels_words(desktop, a_panel, a_volume, behaviour):
    a_volume("ct", modality="CT")
    a_panel.ui.applyButton.click()
    assert "expects MR, but ct is tagged CT" in a_panel.ui.statusLabel.text
    assert ADVANCED in a_panel.ui.statusLabel.text
    assert not behaviour.begun
    a_panel.ui.forceCheckBox.checked = True
    run_to_end(desktop, a_panel)
    assert behaviour.notes["settings"]["force"]


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
