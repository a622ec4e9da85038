"""The training panel's task and labels: what the data allows, what is learned of it, and that it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_cases import write_image
from tiny_tables import write_table

from SlicerCNNSegTrainLib import command
from SlicerCNNSegTrainLib.engine.data.colors import label_color

NAMES = ("Liver", "Tumour", "Lung, left")
HOLDERS = (4, 2, 1)
"""Of four cases."""


def abdomens(folder, *, named=True):
    """Four cases with up to three structures."""
    for number in range(4):
        truth = np.zeros((6, 5, 4), np.uint8)
        for value, holders in enumerate(HOLDERS, start=1):
            truth[value] = value * (number < holders)
        for place in ("imagesTr", "labelsTr"):
            write_image(folder / place / f"case_{number}.nii.gz", truth)
    labels = {"background": 0} | {name: value for value, name in enumerate(NAMES, start=1)}
    if named:
        (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    return folder


@pytest.fixture
def a_filled_panel(a_training_panel, tmp_path):
    a_training_panel.ui.dataPathEdit.currentPath = str(abdomens(tmp_path / "abdomen"))
    return a_training_panel


@pytest.fixture
def a_table(tmp_path):
    """Four nodules with a class each."""
    abdomens(tmp_path / "abdomen")
    rows = [[f"abdomen/imagesTr/case_{n}.nii.gz", 1, 2, 3, 5, "ill" if n else "well"] for n in range(4)]
    return write_table(tmp_path / "nodules.csv", ["image", "x", "y", "z", "diameter", "class"], rows)


def check(panel, row, *, on):
    """Check or uncheck a label, as a click does."""
    from PySide6.QtCore import Qt

    panel.ui.labelsTable.item(row, 0).setCheckState(Qt.Checked if on else Qt.Unchecked)


def shown(panel):
    """Name, whether it is checked, and cases, of each row."""
    from PySide6.QtCore import Qt

    table = panel.ui.labelsTable
    rows = [(table.item(row, 0), table.item(row, 1)) for row in range(table.rowCount)]
    return [(name.text(), name.checkState() == Qt.Checked, cases.text()) for name, cases in rows]


def swatch(panel, row):
    """The colour before a label's name, also of one that cannot be checked."""
    from PySide6.QtGui import QIcon

    item = panel.ui.labelsTable.item(row, 0)
    mode = QIcon.Mode.Normal if can_be_checked(panel) else QIcon.Mode.Disabled
    return item.icon().pixmap(16, 16, mode).toImage().pixelColor(8, 8)


def opacity(panel, row):
    return swatch(panel, row).alpha()


def can_be_checked(panel):
    from PySide6.QtCore import Qt

    return bool(panel.ui.labelsTable.item(0, 0).flags() & Qt.ItemIsEnabled)


def tasks(panel):
    """Title to tool tip of the tasks, of those that cannot be chosen alone."""
    model = panel.ui.taskComboBox.model()
    items = [model.item(row) for row in range(model.rowCount())]
    return {item.text(): item.toolTip() for item in items if not item.isEnabled()}


def test_all_labels_of_the_data_are_learned_at_first(a_training_panel, tmp_path):
    assert not a_training_panel.ui.labelsTable.visible
    a_training_panel.ui.dataPathEdit.currentPath = str(abdomens(tmp_path / "abdomen"))
    assert a_training_panel.ui.labelsTable.visible
    assert shown(a_training_panel) == [(name, True, "?") for name in NAMES]
    assert a_training_panel._chosen().labels == ()
    assert tasks(a_training_panel) == {
        "Detection": "<qt>A detection is trained from a table (CSV).</qt>",
        "Classification": "<qt>A classification is trained from a table (CSV).</qt>",
    }


@pytest.mark.parametrize(("named", "count_delay_ms"), [(True, 0), (False, 0)])
def test_cases_are_counted_by_a_process(desktop, a_training_panel, tmp_path, named):
    a_training_panel.ui.dataPathEdit.currentPath = str(abdomens(tmp_path / "abdomen", named=named))
    assert a_training_panel.ui.labelsTable.rowCount == 3 * named
    desktop.wait_until(lambda: any("of" in cases for _name, _checked, cases in shown(a_training_panel)))
    names = NAMES if named else ("label 1", "label 2", "label 3")
    assert shown(a_training_panel) == [(name, True, f"{n} of 4") for name, n in zip(names, HOLDERS, strict=True)]
    check(a_training_panel, 1, on=False)
    assert a_training_panel._chosen().labels == (names[0], names[2])


class SlowProcess:
    """A process that takes its time, also to end."""

    def __init__(self):
        self.running, self.started = False, []

    def start(self, command):
        self.running = True
        self.started.append(Path(command[1]).name)

    def cancel(self):
        """Its end comes later."""

    close = cancel


@pytest.mark.parametrize("count_delay_ms", [0])
def test_a_count_that_other_data_overtakes_starts_anew(desktop, a_training_panel, tmp_path):
    section = a_training_panel._labels
    process = section._job = SlowProcess()
    for name in ("first", "second"):
        a_training_panel.ui.dataPathEdit.currentPath = str(abdomens(tmp_path / name))
        desktop.wait_until(lambda: process.started and not section._timer.active)
    assert process.started == ["first"]
    process.running = False
    section._count_ended(None)
    desktop.wait_until(lambda: len(process.started) == 2, timeout_s=10)
    assert process.started == ["first", "second"]
    section._count_ended(None)
    assert shown(a_training_panel) == [(name, True, "?") for name in NAMES], "it has failed"
    assert not section._timer.active


def test_what_is_unchecked_is_not_asked_for_and_faded(a_filled_panel):
    assert opacity(a_filled_panel, 1) == 255
    check(a_filled_panel, 1, on=False)
    assert a_filled_panel._chosen().labels == ("Liver", "Lung, left")
    assert "--labels=Lung, left" in a_filled_panel._chosen().begin()
    assert opacity(a_filled_panel, 1) < 100
    check(a_filled_panel, 1, on=True)
    assert (a_filled_panel._chosen().labels, opacity(a_filled_panel, 1)) == ((), 255)


def test_one_label_at_least(a_filled_panel):
    ui = a_filled_panel.ui
    assert ui.startButton.enabled
    for row in range(3):
        check(a_filled_panel, row, on=False)
    assert not ui.startButton.enabled
    assert not ui.planButton.enabled
    assert ui.startButton.toolTip == ui.hintLabel.text == "Check at least one label."
    ui.recipeComboBox.currentIndex = 1
    assert ui.startButton.enabled, "the recipe has labels of its own"
    ui.recipeComboBox.currentIndex = 0
    check(a_filled_panel, 2, on=True)
    assert ui.startButton.enabled


def test_the_choice_is_kept_for_the_data_and_for_no_other(desktop, a_filled_panel, tmp_path):
    check(a_filled_panel, 0, on=False)
    other = abdomens(tmp_path / "other", named=False)
    (other / "dataset.json").write_text(json.dumps({"labels": {"Liver": 1, "Spleen": 2}}), encoding="utf-8")
    again = desktop.open("SlicerCNNSegTrain")
    again.ui.dataPathEdit.currentPath = str(other)
    assert again._chosen().labels == ()
    again.ui.dataPathEdit.currentPath = str(abdomens(tmp_path / "twin"))
    assert [checked for _name, checked, _cases in shown(again)] == [True, True, True]
    again.ui.dataPathEdit.currentPath = a_filled_panel.ui.dataPathEdit.currentPath
    assert [checked for _name, checked, _cases in shown(again)] == [False, True, True]
    desktop.close(again)


def test_a_table_for_two_tasks(desktop, a_training_panel, a_table):
    ui = a_training_panel.ui
    ui.sourceComboBox.currentIndex = 1
    ui.tablePathEdit.currentPath = str(a_table)
    assert tasks(a_training_panel) == {"Segmentation": "<qt>nodules.csv lacks the column &#x27;label&#x27;.</qt>"}
    assert ui.taskComboBox.currentText == "Detection"
    assert ui.casesTable.rowCount == 4
    assert shown(a_training_panel) == [("Nodule", True, "4 of 4")]
    chosen = a_training_panel._chosen()
    assert (chosen.task, chosen.recipe, chosen.labels) == ("detection", "nodule-detection-demo", ())
    assert ui.startButton.enabled
    ui.taskComboBox.currentIndex = 2
    assert shown(a_training_panel) == [("ill", True, "3 of 4"), ("well", True, "1 of 4")]
    assert not can_be_checked(a_training_panel)
    offered = [ui.recipeComboBox.itemText(n) for n in range(ui.recipeComboBox.count)]
    assert offered == command.shipped_recipes("classification")
    assert a_training_panel._chosen().task == "classification"
    again = desktop.open("SlicerCNNSegTrain")
    again.ui.sourceComboBox.currentIndex = 1
    again.ui.tablePathEdit.currentPath = str(a_table)
    assert again.ui.taskComboBox.currentText == "Classification"
    desktop.close(again)


def test_a_table_for_no_task_says_what_it_lacks(a_training_panel, tmp_path):
    ui = a_training_panel.ui
    ui.sourceComboBox.currentIndex = 1
    ui.tablePathEdit.currentPath = str(write_table(tmp_path / "odd.csv", ["image", "age"], [["a.nii.gz", 7]]))
    assert "odd.csv lacks the column 'label'." in ui.casesLabel.text
    assert "odd.csv lacks the column 'class'." in ui.casesLabel.text
    assert not ui.labelsTable.visible


def test_a_recipe_has_labels_of_its_own(a_filled_panel):
    ui = a_filled_panel.ui
    check(a_filled_panel, 2, on=False)
    ui.recipeComboBox.currentIndex = ui.recipeComboBox.findText("hippocampus-mr")
    assert [checked for _name, checked, _cases in shown(a_filled_panel)] == [True, True, False], "its values are 1, 2"
    assert not can_be_checked(a_filled_panel)
    assert swatch(a_filled_panel, 0).getRgb()[:3] == tuple(round(255 * part) for part in label_color(0))
    assert "The chosen recipe decides." in ui.labelsTable.item(0, 0).toolTip()
    assert a_filled_panel._chosen().labels == ()
    ui.recipeComboBox.currentIndex = 0
    assert can_be_checked(a_filled_panel)
    assert a_filled_panel._chosen().labels == ("Liver", "Tumour")


def test_a_run_shows_what_it_learns(a_filled_panel, tmp_path):
    run = tmp_path / "runs" / "planned"
    run.mkdir(parents=True)
    recipe = {"model": {"labels": [{"value": 3, "name": "Chest", "color": [1, 0, 0]}]}, "relabelled": [[1, 0], [2, 3]]}
    (run / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    (run / "data.json").write_text(json.dumps({"data": str(tmp_path / "abdomen")}), encoding="utf-8")
    a_filled_panel.ui.nameLineEdit.text = "planned"
    assert [checked for _name, checked, _cases in shown(a_filled_panel)] == [False, True, True]
    assert not can_be_checked(a_filled_panel)
    assert not a_filled_panel.ui.taskComboBox.enabled
    a_filled_panel.ui.nameLineEdit.text = "new"
    assert [checked for _name, checked, _cases in shown(a_filled_panel)] == [True, True, True]
    assert can_be_checked(a_filled_panel)


def test_segments_of_the_scene_keep_their_checks_when_they_are_written(a_training_panel, desktop):
    from desktop.boxes_in_scene import add_box

    for seed, name in enumerate(("first", "second")):
        add_box(name, seed)
    ui = a_training_panel.ui
    ui.sourceComboBox.currentIndex = 2
    [(name, _checked, cases)] = shown(a_training_panel)
    assert cases == "2 of 2"
    check(a_training_panel, 0, on=False)
    ui.sceneButton.click()
    assert Path(ui.dataPathEdit.currentPath).name == "scene"
    assert shown(a_training_panel) == [(name, False, "?")]
    assert ui.startButton.toolTip == "Check at least one label."
    desktop.clear_scene()
    assert shown(a_training_panel) == [(name, False, "?")], "files stay when the scene is closed"


def test_numbers_of_other_tasks_are_rows(desktop):
    from SlicerCNNSegTrainLib.widgets.results_section import number_rows

    points = [{"false_positives_per_scan": 1.0, "sensitivity": 0.75}]
    froc = {"cpm": {"value": 0.5}, "operating_points": points}
    assert [row.cells for row in number_rows({"froc": froc})] == [
        ("CPM", "0.500"),
        ("Sensitivity at 1 false positives per image", "0.750"),
    ]
    model = {"overall": {"balanced_accuracy": {"value": 0.9}}, "classes": {"ill": {"auc": {"value": None}}}}
    assert [row.cells for row in number_rows({"models": [model]})] == [("balanced accuracy", "0.900")]
