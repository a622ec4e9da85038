"""The training panel: what it asks for, what it starts, and what it says at the end."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from SlicerCNNSegLib.engine.settings import DEVICES
from SlicerCNNSegTrainLib import command
from SlicerCNNSegTrainLib.command import TrainingRequest, shipped_recipes

HANG = """
import sys, time
print("Training: 12%, step 3/25, loss 0.310", file=sys.stderr, flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    sys.exit(130)
"""
FAIL = "import sys; print('cnnseg-train: error: No labels.', file=sys.stderr); sys.exit(1)"
DONE = "print('Wrote the model')"

CHECK = {
    "errors": 1,
    "warnings": 2,
    "findings": [
        {"severity": "error", "kind": "geometry", "cases": ["two"], "message": "another <grid>"},
        {"severity": "warning", "kind": "division", "cases": [], "message": "few patients"},
        {"severity": "warning", "kind": "volume", "cases": ["two", "three"], "message": "an outlier"},
    ],
    "structures": [],
    "cases": [{"case": name, "patient": name, "part": "fold 0"} for name in ("one", "two", "three")],
}
"""As ``cnnseg-train check -o`` writes it."""

WRITE_CHECK = f"""
import sys
open(sys.argv[sys.argv.index("-o") + 1], "w").write({json.dumps(CHECK)!r})
sys.exit(1)
"""
PLAN = {"reasons": [{"field": "network", "value": "DynUNet", "why": "small images"}]}
WRITE_PLAN = f"""
import pathlib, sys
run = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
run.mkdir(parents=True)
(run / "data.json").write_text('{{"data": "/the/data"}}')
(run / "plan.json").write_text({json.dumps(PLAN)!r})
(run / "recipe.json").write_text("{{}}")
"""


@pytest.fixture
def a_dataset(tmp_path):
    """A folder with two cases, whose files nobody reads here."""
    for place in ("imagesTr", "labelsTr"):
        (tmp_path / "liver" / place).mkdir(parents=True)
        for case in ("one", "two"):
            (tmp_path / "liver" / place / f"{case}.nii.gz").touch()
    return tmp_path / "liver"


@pytest.fixture
def a_filled_panel(a_training_panel, a_dataset):
    a_training_panel.ui.dataPathEdit.currentPath = str(a_dataset)
    return a_training_panel


@pytest.fixture
def launch(monkeypatch):
    """Puts a few lines of Python in the place of ``cnnseg-train``."""

    def put(lines):
        monkeypatch.setattr(command, "LAUNCH", lines.replace("{", "{{").replace("}", "}}"))

    return put


def wait(desktop, panel):
    desktop.wait_until(lambda: not panel.logic.running)


def rows(table):
    """The texts of all cells."""
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def test_what_is_missing_is_said(a_training_panel, a_dataset):
    ui = a_training_panel.ui
    assert not ui.startButton.enabled
    assert not ui.checkButton.enabled
    assert ui.startButton.toolTip == ui.hintLabel.text == "Choose a dataset."
    ui.dataPathEdit.currentPath = str(a_dataset)
    assert ui.startButton.enabled
    assert ui.planButton.enabled
    assert ui.checkButton.enabled
    assert not ui.hintLabel.visible
    assert rows(ui.casesTable) == [["one", "", "not checked"], ["two", "", "not checked"]]
    ui.nameLineEdit.text = ""
    assert ui.startButton.toolTip == "Give a name."


def test_a_folder_without_cases_is_told(a_training_panel, tmp_path):
    ui = a_training_panel.ui
    ui.dataPathEdit.currentPath = str(tmp_path)
    assert "imagesTr" in ui.casesLabel.text
    assert not ui.casesTable.visible


def test_a_table_gives_the_parts(a_training_panel, a_dataset):
    ui = a_training_panel.ui
    table = a_dataset.with_name("cases.csv")
    lines = ["image,label,split"]
    lines += [
        f"liver/imagesTr/{x}.nii.gz,liver/labelsTr/{x}.nii.gz,{y}" for x, y in (("one", "train"), ("two", "test"))
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    ui.sourceComboBox.currentIndex = 1
    assert ui.tablePathEdit.visible
    assert not ui.dataPathEdit.visible
    ui.tablePathEdit.currentPath = str(table)
    assert rows(ui.casesTable) == [["one", "train", "not checked"], ["two", "test", "not checked"]]
    assert ui.nameLineEdit.text == "cases"


def test_the_data_names_model_and_run_until_the_user_does(a_filled_panel, a_dataset):
    ui, home = a_filled_panel.ui, Path(os.environ["CNNSEG_MODELS"]).parent
    assert ui.nameLineEdit.text == "liver"
    assert Path(ui.modelPathEdit.currentPath) == home / "models" / "liver"
    assert Path(ui.runPathEdit.currentPath) == home / "runs" / "liver"
    ui.nameLineEdit.text = "mine"
    ui.dataPathEdit.currentPath = str(a_dataset.parent)
    assert ui.nameLineEdit.text == "mine"
    assert Path(ui.modelPathEdit.currentPath) == home / "models" / "mine"


def test_what_is_chosen_is_what_is_asked_for(a_filled_panel, a_dataset, tmp_path):
    ui = a_filled_panel.ui
    run, model = tmp_path / "runs" / "liver", tmp_path / "models" / "liver"
    plain = TrainingRequest(a_dataset, run, model, task="segmentation")
    assert a_filled_panel._chosen() == plain
    ui.recipeComboBox.currentIndex = 1
    ui.minutesSpinBox.value, ui.deviceComboBox.currentIndex = 2.5, 1
    ui.allowEmptyCheckBox.checked = ui.absentCheckBox.checked = True
    chosen = {"recipe": shipped_recipes("segmentation")[0], "minutes": 2.5, "device": DEVICES[1]}
    assert a_filled_panel._chosen() == replace(plain, allow_empty=True, absent_not_contoured=True, **chosen)


def test_progress_and_a_clean_stop(desktop, a_filled_panel, launch):
    launch(HANG)
    ui = a_filled_panel.ui
    ui.startButton.click()
    desktop.wait_until(lambda: ui.progressBar.value == 12)
    assert ui.statusLabel.text == "Training: step 3/25, loss 0.310"
    for widget in (ui.startButton, ui.planButton, ui.checkButton, ui.setupCollapsibleButton, ui.nameLineEdit):
        assert not widget.enabled
    assert ui.stopButton.enabled
    ui.stopButton.click()
    wait(desktop, a_filled_panel)
    assert ui.statusLabel.text == "Stopped."
    assert ui.startButton.enabled
    assert not ui.stopButton.enabled


def test_a_second_stop_ends_at_once(desktop, a_filled_panel, launch):
    launch("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + HANG)
    ui = a_filled_panel.ui
    ui.startButton.click()
    desktop.wait_until(lambda: ui.progressBar.value == 12)
    ui.stopButton.click()
    ui.stopButton.click()
    desktop.wait_until(lambda: not a_filled_panel.logic.running, timeout_s=60)
    assert ui.statusLabel.text.startswith("Stopped.")


def test_a_failure_is_its_message(desktop, a_filled_panel, launch):
    launch(FAIL)
    a_filled_panel.ui.startButton.click()
    wait(desktop, a_filled_panel)
    assert a_filled_panel.ui.statusLabel.text == "No labels."
    assert a_filled_panel.ui.logText.plainText == "cnnseg-train: error: No labels."


def test_the_end_says_where_the_model_is(desktop, a_filled_panel, launch):
    launch(DONE)
    a_filled_panel.ui.startButton.click()
    wait(desktop, a_filled_panel)
    model = a_filled_panel.ui.modelPathEdit.currentPath
    assert a_filled_panel.ui.statusLabel.text == f"Done. The new model is {Path(model).name}."


def test_the_check_colours_the_rows_and_says_why(desktop, a_filled_panel, launch):
    launch(WRITE_CHECK)
    ui = a_filled_panel.ui
    ui.checkButton.click()
    wait(desktop, a_filled_panel)
    assert ui.statusLabel.text == "The data has errors: see the rows in red."
    assert ui.casesLabel.text == "3 cases checked; errors: 1, warnings: 2."
    assert rows(ui.casesTable) == [
        ["All cases", "", "division: few patients"],
        ["two", "fold 0", "geometry, volume"],
        ["three", "fold 0", "volume"],
        ["one", "fold 0", "ok"],
    ]
    yellow, red, again, plain = (ui.casesTable.item(row, 0).background() for row in range(4))
    assert (red.color().red(), red.color().green()) == (217, 83)
    assert yellow.color() == again.color()
    assert yellow.color().green() == 173
    assert plain.style().name == "NoBrush"
    assert ui.casesTable.item(1, 0).toolTip() == "<qt>geometry: another &lt;grid&gt;<br>volume: an outlier</qt>"


def test_errors_of_a_run_are_rows_too(desktop, a_filled_panel, a_dataset, launch, tmp_path):
    """The training that stops at the check leaves ``check.json`` in its folder."""
    run = tmp_path / "runs" / "liver"
    run.mkdir(parents=True)
    (run / "data.json").write_text(json.dumps({"data": str(a_dataset)}), encoding="utf-8")
    launch(f"open({str(run / 'check.json')!r}, 'w').write({json.dumps(CHECK)!r})\n{FAIL}")
    a_filled_panel.ui.startButton.click()
    wait(desktop, a_filled_panel)
    assert a_filled_panel.ui.statusLabel.text == "No labels."
    assert rows(a_filled_panel.ui.casesTable)[1] == ["two", "fold 0", "geometry, volume"]


def test_a_plan_is_shown_decides_and_can_be_discarded(desktop, a_filled_panel, launch, monkeypatch, tmp_path):
    launch(WRITE_PLAN)
    ui, run = a_filled_panel.ui, tmp_path / "runs" / "liver"
    assert not ui.editButton.enabled
    ui.planButton.click()
    wait(desktop, a_filled_panel)
    assert ui.statusLabel.text == "Planned. Press Start to train."
    assert rows(ui.planTable) == [["network", "DynUNet: small images"]]
    assert not ui.minutesSpinBox.enabled
    assert not ui.recipeComboBox.enabled
    assert a_filled_panel._chosen().data == Path("/the/data")
    opened = []
    monkeypatch.setattr("PySide6.QtGui.QDesktopServices.openUrl", lambda url: opened.append(url.toLocalFile()) or True)
    ui.editButton.click()
    assert opened == [str(run / "recipe.json")]
    ui.planButton.click()
    assert list(run.iterdir()) == []
    assert not ui.planCollapsibleButton.visible
    assert ui.minutesSpinBox.enabled


def test_an_edited_plan_is_discarded_only_after_asking(desktop, a_filled_panel, launch, monkeypatch, tmp_path):
    launch(WRITE_PLAN)
    ui, recipe = a_filled_panel.ui, tmp_path / "runs" / "liver" / "recipe.json"
    ui.planButton.click()
    wait(desktop, a_filled_panel)
    os.utime(recipe, (recipe.stat().st_atime + 60, recipe.stat().st_mtime + 60))
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text, title: False)
    ui.planButton.click()
    assert recipe.exists()
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text, title: True)
    ui.planButton.click()
    assert not recipe.exists()


def test_a_run_that_has_begun_is_resumed(a_filled_panel, tmp_path):
    run = tmp_path / "runs" / "begun"
    (run / "fold_0").mkdir(parents=True)
    for name in ("recipe.json", "fold_0/last.pt"):
        (run / name).write_text("{}", encoding="utf-8")
    ui = a_filled_panel.ui
    ui.nameLineEdit.text = "begun"
    assert ui.startButton.text == "Resume"
    assert not ui.editButton.enabled
    assert not ui.planButton.enabled
    assert ui.hintLabel.text == "This run has begun. For another training give another name."
    assert not ui.exportButton.enabled, "no validation was reached"


def test_a_stopped_run_can_be_exported(desktop, a_filled_panel, launch, tmp_path):
    run = tmp_path / "runs" / "begun"
    (run / "fold_0").mkdir(parents=True)
    for name in ("recipe.json", "fold_0/last.pt", "fold_0/best.pt"):
        (run / name).write_text("{}", encoding="utf-8")
    launch("import sys; print(*sys.argv[1:])")
    ui = a_filled_panel.ui
    ui.nameLineEdit.text = "begun"
    ui.exportButton.click()
    wait(desktop, a_filled_panel)
    assert ui.logText.plainText.splitlines()[0] == f"export {run} -o {tmp_path / 'models' / 'begun'}"
    assert ui.statusLabel.text == "Exported. The new model is begun."


def test_freezing_needs_a_model_to_start_from(desktop, monkeypatch, a_models_folder):
    panel = desktop.open("SlicerCNNSegTrain")
    ui = panel.ui
    assert ui.startComboBox.itemText(0) == "Scratch"
    assert not ui.freezeCheckBox.enabled
    ui.startComboBox.currentIndex = 1
    assert ui.freezeCheckBox.enabled
    ui.freezeCheckBox.checked, ui.adapterSpinBox.value = True, 4
    chosen = panel._settings.start
    assert chosen == "tiny-mr"
    panel.enter()
    assert panel._settings.start == chosen
    desktop.close(panel)


def test_closing_the_panel_ends_the_training(desktop, a_filled_panel, launch):
    launch(HANG)
    a_filled_panel.ui.startButton.click()
    desktop.wait_until(lambda: a_filled_panel.ui.progressBar.value == 12)
    a_filled_panel.cleanup()
    assert not a_filled_panel.logic.running


def test_the_modules_own_test_passes(desktop):
    import SlicerCNNSegTrain

    SlicerCNNSegTrain.SlicerCNNSegTrainTest().runTest()


def test_a_check_needs_no_name(desktop, a_filled_panel, launch):
    launch(WRITE_CHECK)
    a_filled_panel.ui.nameLineEdit.text = ""
    a_filled_panel.ui.checkButton.click()
    wait(desktop, a_filled_panel)
    assert a_filled_panel.ui.casesLabel.text == "3 cases checked; errors: 1, warnings: 2."
    assert a_filled_panel.ui.startButton.toolTip == "Give a name."
