"""The tab Classify, with real worker processes whose answers are known."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from desktop.conftest import write_classifier
from desktop.paths_of_panels import ROOT
from desktop.task_tabs import SMALL, add_roi, add_segments, nodes, run_to_end, start_run


@pytest.fixture(scope="module")
def one_class(a_models_folder):
    """A classifier that cannot be run: a class alone is nothing to tell apart."""
    folder = write_classifier(a_models_folder / "one-class", ("Ill",))
    yield
    shutil.rmtree(folder)


@pytest.fixture
def a_tab(one_class, a_panel, behaviour):
    """The panel with the tab Classify shown."""
    a_panel.ui.taskTabs.currentIndex = 2
    return a_panel


def test_classifiers_are_listed_by_themselves_the_unusable_greyed(a_tab):
    from PySide6.QtCore import Qt

    box = a_tab.ui.classifierComboBox
    assert [box.itemText(n) for n in range(box.count)] == [
        "broken (cannot be used)",
        "one-class (cannot be used)",
        "two-classes",
    ]
    assert [bool(box.model().item(n).flags() & Qt.ItemFlag.ItemIsEnabled) for n in range(3)] == [False, False, True]
    assert "needs at least 2 classes" in box.model().item(1).toolTip()
    assert a_tab.ui.classifierInfoLabel.text == f"Tells apart: Ill, Well\nImages: MR. Licence: Apache-2.0. {SMALL}"
    assert a_tab.ui.modelComboBox.count == 3, "the other tab lists models that segment"


def test_probabilities_are_shown_and_kept(desktop, a_tab, a_volume, behaviour):
    from SlicerCNNSegLib.scene.classifications import classes_of
    from SlicerCNNSegLib.scene.records import record_of

    volume = a_volume("chest")
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["model"] == "two-classes"
    assert a_tab.ui.statusLabel.text.splitlines()[0].endswith(" s: Ill (0.75).")
    assert a_tab.ui.statusLabel.text.splitlines()[1:] == ["Mind the gap."]
    (table,) = nodes("vtkMRMLTableNode")
    assert [[table.GetCellText(row, column) for column in (1, 2, 4)] for row in range(2)] == [
        ["Ill", "0.75", "yes"],
        ["Well", "0.25", "no"],
    ]
    assert record_of(table)["warnings"] == ["Mind the gap."]
    assert classes_of(volume)[0]["decided"] == ["Ill"]
    view = a_tab.ui.classesTableView
    assert view.visible
    assert [view.isColumnHidden(n) for n in range(5)] == [True, False, False, True, False]
    assert not a_tab.ui.resultsCollapsibleButton.visible
    a_tab.ui.taskTabs.currentIndex = 0
    assert not a_tab.ui.classesCollapsibleButton.visible
    assert a_tab.ui.statusLabel.text == "", "it spoke of the other tab"
    a_tab.ui.taskTabs.currentIndex = 2
    assert a_tab.ui.classesCollapsibleButton.visible


def test_a_region_of_interest(desktop, a_tab, a_volume, behaviour):
    a_volume()
    a_tab.ui.whereComboBox.currentIndex = 1
    assert a_tab.ui.hintLabel.text == "Choose a region of interest."
    a_tab.ui.classifyRegionSelector.setCurrentNode(add_roi())
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["regions"] == ["ras:6,14,7,13,7,17"]


def test_around_segments(desktop, a_tab, a_volume, behaviour):
    drawn = add_segments(a_volume(), {"Upper": (5, 5, 4), "Lower": (5, 5, 10)})
    a_tab.ui.whereComboBox.currentIndex = 2
    assert a_tab.ui.hintLabel.text == "Choose a segmentation."
    a_tab.ui.segmentsSelector.setCurrentNode(drawn)
    a_tab.ui.marginSpinBox.value = 2.0
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["regions"] == ["Upper=ras:3,10,3,9,4,9.5", "Lower=ras:3,10,3,9,13,18.5"]
    assert a_tab.ui.statusLabel.text.splitlines()[0].endswith(" s: Upper: Ill (0.75); Lower: Ill (0.75).")
    assert not a_tab.ui.classesTableView.isColumnHidden(0)


def test_the_heat_map_lies_over_the_image_until_the_next_run(desktop, a_tab, a_volume, behaviour):
    import slicer

    volume = a_volume("chest")
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    view.SetLayoutName("Red")
    view.SetBackgroundVolumeID(volume.GetID())
    a_tab.ui.explainComboBox.currentIndex = 2
    run_to_end(desktop, a_tab)
    assert behaviour.notes["settings"]["explain"] == "gradcam++"
    (heat,) = (node for node in nodes("vtkMRMLScalarVolumeNode") if node is not volume)
    assert view.GetForegroundVolumeID() == heat.GetID()
    assert a_tab.logic.getParameterNode().heatMap is heat
    a_tab.ui.explainComboBox.currentIndex = 0
    start_run(desktop, a_tab, behaviour, "windows")
    assert view.GetForegroundVolumeID() is None, "an old map is never shown as new"
    assert not a_tab.ui.classesCollapsibleButton.visible
    a_tab.ui.cancelButton.click()
    desktop.wait_until(lambda: not a_tab.logic.running)
    assert heat in nodes("vtkMRMLScalarVolumeNode"), "it stays in the scene"


def test_what_is_chosen_is_found_again(desktop, a_tab, a_volume):
    a_volume()
    a_tab.ui.whereComboBox.currentIndex = 2
    assert a_tab.ui.explainComboBox.count == 5
    a_tab.ui.explainComboBox.currentIndex = 3
    a_tab.ui.marginSpinBox.value = 7.5
    run_to_end(desktop, a_tab)
    desktop.close(a_tab)
    again = desktop.open("SlicerCNNSeg")
    assert again.ui.taskTabs.currentIndex == 2
    assert again.ui.whereComboBox.currentText == "Around segments"
    assert again.ui.explainComboBox.currentText == "Occlusion (slow)"
    assert again.ui.marginSpinBox.value == 7.5
    assert again.ui.classifierComboBox.currentText == "two-classes"
    a_tab.setup()  # the fixture closes it once more
    desktop.close(again)


def test_the_real_model_gives_what_it_gave_where_it_was_made(desktop, a_panel, monkeypatch):
    """``mednist-kind`` from Apply to the table, on the image of its self-check, with a worker that loads torch."""
    import slicer

    from SlicerCNNSegLib.engine.catalogue import find_model
    from SlicerCNNSegLib.engine.store.class_check import TOLERANCE
    from SlicerCNNSegLib.engine.store.pattern import FILE, Pattern
    from SlicerCNNSegLib.engine.wording import probability_in_words
    from SlicerCNNSegLib.scene.classifications import classes_of
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    monkeypatch.setenv("CNNSEG_MODELS", str(ROOT / "SlicerCNNSeg" / "Resources" / "Models"))
    check = json.loads((ROOT / "SlicerCNNSeg/Resources/Models/mednist-kind" / FILE).read_text(encoding="utf-8"))
    (image,) = Pattern.from_json(check["image"]).volumes(find_model("mednist-kind"))
    node_from_volume(slicer.mrmlScene, image, "pattern")
    a_panel.enter()
    a_panel.ui.taskTabs.currentIndex = 2
    a_panel.logic.getParameterNode().classifier = "mednist-kind"
    a_panel.ui.explainComboBox.currentIndex = 1
    a_panel.ui.deviceComboBox.currentText = "cpu"
    run_to_end(desktop, a_panel)
    (table,) = nodes("vtkMRMLTableNode")
    node = a_panel.logic.getParameterNode().inputVolume
    found = list(classes_of(node)[0]["probabilities"].values())
    np.testing.assert_allclose(found, check["probabilities"], atol=TOLERANCE)
    words = [table.GetCellText(row, 2) for row in range(table.GetNumberOfRows())]
    assert words == [probability_in_words(p) for p in found]
    decided = table.GetCellText(int(np.argmax(found)), 1)
    assert f" s: {decided} " in a_panel.ui.statusLabel.text
    heat = a_panel.logic.getParameterNode().heatMap
    assert heat.GetImageData().GetDimensions() == (64, 64, 1)
    assert "Demonstration and research." in a_panel.ui.classifierInfoLabel.text
