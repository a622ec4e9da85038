"""The training panel's sections: cases of the scene, live curves, plots, held-out cases, the model in use."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import Cancelled

CURVES = "step,loss,learning_rate,dice,dice Box,seconds\n10,0.9,0.001,0.25,0.25,5\n"
NEXT = "20,0.7,0.001,0.75,0.75,10\n"


@pytest.fixture
def two_boxes(desktop):
    from desktop.boxes_in_scene import add_box

    return [add_box(name, seed) for seed, name in enumerate(("first", "second"))]


def from_scene(panel):
    panel.ui.sourceComboBox.currentIndex = 2
    return panel.ui


def a_run(tmp_path):
    """A run's fold with the curves of one validation and a contact sheet."""
    from PySide6 import QtGui

    fold = tmp_path / "runs" / "liver" / "fold_0"
    fold.mkdir(parents=True)
    (fold / "curves.csv").write_text(CURVES, encoding="utf-8")
    picture = QtGui.QPixmap(400, 280)
    picture.fill("navy")
    assert picture.save(str(fold / "contact_sheet.png"))
    return fold


def later(path, seconds):
    """As if the file were written so much later; a clock may stand still between two writes."""
    os.utime(path, (path.stat().st_atime + seconds, path.stat().st_mtime + seconds))


def test_an_empty_scene_is_told(a_training_panel):
    ui = from_scene(a_training_panel)
    assert ui.casesLabel.text == (
        "Expected volumes with segmentations in the scene, found no pair (0 volumes, 0 segmentations)."
    )
    assert not ui.sceneButton.enabled
    assert not ui.startButton.enabled


def test_the_scenes_cases_become_the_dataset(a_training_panel, two_boxes, tmp_path):
    ui = from_scene(a_training_panel)
    assert [ui.casesTable.item(row, 0).text() for row in range(2)] == ["first", "second"]
    assert ui.casesTable.item(0, 2).text() == "first truth"
    assert ui.startButton.toolTip == "Press 'Write the cases': a training reads files."
    ui.sceneButton.click()
    folder = tmp_path / "datasets" / "scene"
    assert sorted(path.name for path in (folder / "labelsTr").iterdir()) == ["first.nii.gz", "second.nii.gz"]
    assert Path(ui.dataPathEdit.currentPath) == folder
    assert ui.sourceComboBox.currentIndex == 0
    assert ui.nameLineEdit.text == "scene"
    assert ui.startButton.enabled
    assert Path(ui.scenePathEdit.currentPath) == tmp_path / "datasets" / "scene-2"


def test_a_closed_scene_has_no_cases(desktop, a_training_panel, two_boxes):
    ui = from_scene(a_training_panel)
    assert ui.casesTable.rowCount == 2
    desktop.clear_scene()
    assert ui.casesTable.rowCount == 0
    assert not ui.sceneButton.enabled


def test_what_is_in_doubt_about_a_scene_is_a_row(a_training_panel, two_boxes):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    ui = from_scene(a_training_panel)
    assert ui.casesTable.rowCount == 3
    assert ui.casesTable.item(0, 0).text() == "Note"
    assert ui.casesTable.item(0, 2).text().startswith("'empty' was left out")


def test_a_folder_that_holds_something_is_refused(a_training_panel, two_boxes, tmp_path):
    ui = from_scene(a_training_panel)
    ui.scenePathEdit.currentPath = str(tmp_path)
    (tmp_path / "mine.txt").touch()
    ui.sceneButton.click()
    assert ui.casesLabel.text.startswith("Expected a new or an empty folder")
    assert (tmp_path / "mine.txt").exists()


def test_cancelling_writes_nothing(a_training_panel, two_boxes, monkeypatch, tmp_path):
    from SlicerCNNSegTrainLib.widgets import scene_cases

    monkeypatch.setattr(scene_cases.DialogProgress, "cancelled", lambda self: True)
    ui = from_scene(a_training_panel)
    ui.sceneButton.click()
    assert ui.casesLabel.text == "Cancelled; nothing was written."
    assert not (tmp_path / "datasets" / "scene").exists()
    assert ui.sourceComboBox.currentIndex == 2


def test_the_dialogues_cancel_button_counts(desktop):
    from SlicerCNNSegLib.engine.progress import advance
    from SlicerCNNSegTrainLib.widgets.scene_cases import DialogProgress

    progress = DialogProgress("Writing")
    advance(progress, 0.5, "one of two")
    assert (progress._dialog.value, progress._dialog.labelText) == (50, "one of two")
    progress._dialog.canceled.emit()
    progress._dialog.cancel()
    with pytest.raises(Cancelled):
        advance(progress, 1.0, "two of two")
    progress.close()


class Recorder:
    """Keeps which charts the real logic of the module Plots was given."""

    def __init__(self, logic):
        self.logic, self.shown = logic, []

    def ShowChartInLayout(self, chart):  # noqa: N802 - the real logic's own name
        self.shown.append(chart.GetYAxisTitle())
        self.logic.ShowChartInLayout(chart)


def test_a_run_of_yesterday_is_shown_and_its_plots_come_on_request(a_training_panel, tmp_path, monkeypatch):
    import slicer

    recorder = Recorder(slicer.modules.plots.logic())
    monkeypatch.setattr(slicer.modules.plots, "logic", lambda: recorder)

    fold = a_run(tmp_path)
    ui = a_training_panel.ui
    ui.nameLineEdit.text = "liver"
    assert ui.curvesLabel.text == "Step 10: loss 0.900, Dice 0.250; best 0.250 at step 10"
    assert ui.plotScoreButton.text == "Plot Dice"
    assert ui.sheetButton.iconSize.height() == 140
    assert ui.sheetButton.iconSize.width() == 200
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode") is None
    ui.plotScoreButton.click()
    ui.plotLossButton.click()
    assert recorder.shown == ["Dice", "Loss"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 2
    assert fold.exists()


def test_the_contact_sheet_opens(a_training_panel, tmp_path, monkeypatch):
    fold, opened = a_run(tmp_path), []
    monkeypatch.setattr("PySide6.QtGui.QDesktopServices.openUrl", lambda url: opened.append(url.toLocalFile()) or True)
    a_training_panel.ui.nameLineEdit.text = "liver"
    a_training_panel.ui.sheetButton.click()
    assert opened == [str(fold / "contact_sheet.png")]


def test_another_run_shows_nothing_of_the_one_before(a_training_panel, tmp_path):
    a_run(tmp_path)
    ui = a_training_panel.ui
    ui.nameLineEdit.text = "liver"
    assert ui.progressCollapsibleButton.visible
    ui.nameLineEdit.text = "other"
    assert not ui.progressCollapsibleButton.visible
    assert ui.curvesLabel.text == ""


def test_curves_follow_a_run(desktop, tmp_path):
    from SlicerCNNSegTrainLib.widgets.run_watch import CURVES as NAME
    from SlicerCNNSegTrainLib.widgets.run_watch import RunWatch

    fold, told = a_run(tmp_path), []
    watch = RunWatch(lambda name, path: told.append((name, path)))
    watch.turn_to(fold.parent)
    assert (NAME, fold / "curves.csv") in told
    told.clear()
    watch.start()
    watch.look()
    assert told == []
    with (fold / "curves.csv").open("a", encoding="utf-8") as stream:
        stream.write(NEXT)
    later(fold / "curves.csv", 5)
    desktop.wait_until(lambda: bool(told), timeout_s=30)
    watch.close()
    assert told == [(NAME, fold / "curves.csv")]


def test_live_curves_are_nodes(desktop, a_training_panel, tmp_path):
    import slicer

    fold = a_run(tmp_path)
    section = a_training_panel._progress
    section.show_curves(fold / "curves.csv", live=True)
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetTable().GetNumberOfRows() == 1
    (fold / "curves.csv").write_text(CURVES + NEXT, encoding="utf-8")
    section.show_curves(fold / "curves.csv", live=True)
    assert table.GetTable().GetNumberOfRows() == 2
    assert a_training_panel.ui.curvesLabel.text == "Step 20: loss 0.700, Dice 0.750; best 0.750 at step 20"


def test_lines_have_the_colours_of_the_labels(a_training_panel, tmp_path):
    import slicer

    fold = a_run(tmp_path)
    labels = [{"value": 1, "name": "Box", "color": [0.5, 0.25, 0.75]}]
    (fold / "recipe.json").write_text(json.dumps({"model": {"labels": labels}}), encoding="utf-8")
    a_training_panel._progress.show_curves(fold / "curves.csv", live=True)
    [series] = [one for one in slicer.mrmlScene.GetNodesByClass("vtkMRMLPlotSeriesNode") if one.GetName() == "dice Box"]
    assert series.GetColor() == (0.5, 0.25, 0.75)
    (fold / "curves.csv").write_text(CURVES.replace("dice", "cpm"), encoding="utf-8")
    a_training_panel._progress.show_curves(fold / "curves.csv", live=False)
    assert a_training_panel.ui.plotScoreButton.text == "Plot CPM"


def a_finished_fold(tmp_path):
    """A fold with two held-out cases: of one the box was found, of the other half of it."""
    from SlicerCNNSegLib.engine.evaluation.folders import evaluate_folders
    from SlicerCNNSegLib.engine.files.labelmaps import write_labelmap
    from SlicerCNNSegLib.engine.labels import Label
    from SlicerCNNSegLib.engine.volume import Geometry

    grid, labels = Geometry((6, 8, 10), np.eye(4)), (Label(1, "Box", (1.0, 0.0, 0.0)),)
    data, fold = tmp_path / "data", tmp_path / "runs" / "liver" / "fold_0"
    plain = fold / "validation" / "plain"
    truth = np.zeros(grid.shape_kji, np.uint8)
    truth[:4] = 1
    half = truth.copy()
    half[1:] = 0
    for name, found in (("good", truth), ("poor", half)):
        write_labelmap(data / "imagesTr" / f"{name}.nii.gz", truth * 10, grid, ())
        write_labelmap(data / "labelsTr" / f"{name}.nii.gz", truth, grid, labels)
        (plain / "reference").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / "labelsTr" / f"{name}.nii.gz", plain / "reference" / f"{name}.nii.gz")
        write_labelmap(plain / "prediction" / f"{name}.nii.gz", found, grid, labels)
    report = evaluate_folders(plain / "reference", plain / "prediction")
    (plain / "evaluation.json").write_text(json.dumps(report), encoding="utf-8")
    model = {"labels": [label.to_json() for label in labels], "channels": [{"name": "MR", "modality": "MR"}]}
    (fold / "recipe.json").write_text(json.dumps({"model": model}), encoding="utf-8")
    (fold / "split.json").write_text(json.dumps({"data": str(data)}), encoding="utf-8")
    return fold


def test_the_worst_case_comes_first_and_is_shown_on_double_click(desktop, a_training_panel, tmp_path):
    import slicer

    a_finished_fold(tmp_path)
    ui = a_training_panel.ui
    ui.nameLineEdit.text = "liver"
    table = ui.resultsTable
    assert [[table.item(r, c).text() for c in range(2)] for r in range(2)] == [["poor", "0.400"], ["good", "1.000"]]
    assert table.item(0, 0).background().color().green() == 173
    assert table.item(1, 0).background().style().name == "NoBrush"
    assert "0.400" in table.item(0, 0).toolTip()
    table.cellActivated.emit(0, 1)
    scene = slicer.mrmlScene
    names = [scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode").GetName() for n in range(2)]
    assert names == ["poor truth", "poor prediction"]
    assert scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode").GetName() == "poor"


def test_a_case_whose_data_has_gone_is_told(a_training_panel, tmp_path):
    fold = a_finished_fold(tmp_path)
    shutil.rmtree(fold / "validation" / "plain" / "prediction")
    (fold / "validation" / "plain" / "prediction").mkdir()
    a_training_panel.ui.nameLineEdit.text = "liver"
    a_training_panel.ui.resultsTable.cellActivated.emit(0, 0)
    assert "found none; check the path." in a_training_panel.ui.statusLabel.text


def test_the_model_is_handed_over(desktop, a_training_panel, a_models_folder, monkeypatch, tmp_path):
    segment = desktop.open("SlicerCNNSeg")
    a_finished_fold(tmp_path)
    ui = a_training_panel.ui
    ui.nameLineEdit.text = "liver"
    assert not ui.useButton.enabled
    shutil.copytree(a_models_folder / "tiny-mr", tmp_path / "models" / "liver")
    a_training_panel._runChosen()
    assert ui.useButton.enabled
    ui.useButton.click()
    assert segment.logic.getParameterNode().model == "tiny-mr"
    assert segment._tabs[0].models.id == "tiny-mr"
    ui.modelPathEdit.currentPath = str(a_models_folder / "tiny-mr")
    a_training_panel._runChosen()
    assert not ui.useButton.enabled
    assert ui.useButton.toolTip == f"The model is not in {tmp_path / 'models'}."
    desktop.close(segment)
