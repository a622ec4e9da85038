"""The training panel, and what it understands of ``cnnseg-train``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from SlicerCNNSegTrainLib import command
from SlicerCNNSegTrainLib.command import TrainingRequest, last_validation, parse_error, parse_progress, shipped_recipes

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


@pytest.fixture
def a_training_panel(desktop, tmp_path):
    panel = desktop.open("SlicerCNNSegTrain")
    yield panel
    desktop.close(panel)


@pytest.fixture
def a_filled_panel(a_training_panel, tmp_path):
    a_training_panel.ui.dataPathEdit.currentPath = str(tmp_path / "data")
    a_training_panel.ui.runPathEdit.currentPath = str(tmp_path / "run")
    return a_training_panel


def start(panel, monkeypatch, launch):
    monkeypatch.setattr(command, "LAUNCH", launch.replace("{", "{{").replace("}", "}}"))
    panel.ui.startButton.click()


def test_what_is_missing_is_said(a_training_panel, tmp_path):
    ui = a_training_panel.ui
    assert not ui.startButton.enabled
    assert ui.startButton.toolTip == "Choose a dataset."
    ui.dataPathEdit.currentPath = str(tmp_path)
    assert ui.startButton.toolTip == "Choose a run folder."
    ui.runPathEdit.currentPath = str(tmp_path)
    assert ui.startButton.enabled
    ui.modelPathEdit.currentPath = ""
    assert ui.startButton.toolTip == "Choose a model folder."


def test_a_recipe_brings_its_steps_and_a_place_for_the_model(a_training_panel):
    ui = a_training_panel.ui
    name = ui.recipeComboBox.currentText
    assert ui.stepsSpinBox.value == shipped_recipes()[name]
    assert Path(ui.modelPathEdit.currentPath) == Path(os.environ["CNNSEG_MODELS"], name)


def test_progress_and_a_clean_stop(desktop, a_filled_panel, monkeypatch):
    ui = a_filled_panel.ui
    start(a_filled_panel, monkeypatch, HANG)
    desktop.wait_until(lambda: ui.progressBar.value == 12)
    assert ui.statusLabel.text == "Training: step 3/25, loss 0.310"
    assert not ui.startButton.enabled
    ui.stopButton.click()
    desktop.wait_until(lambda: not a_filled_panel.logic.running)
    assert ui.statusLabel.text == "Stopped. Tick 'Go on from the last checkpoint' to continue."
    assert ui.startButton.enabled


def test_a_second_stop_ends_at_once(desktop, a_filled_panel, monkeypatch):
    ui = a_filled_panel.ui
    start(a_filled_panel, monkeypatch, "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + HANG)
    desktop.wait_until(lambda: ui.progressBar.value == 12)
    ui.stopButton.click()
    ui.stopButton.click()
    desktop.wait_until(lambda: not a_filled_panel.logic.running, timeout_s=10)
    assert ui.statusLabel.text.startswith("Stopped.")


def test_a_failure_is_its_message(desktop, a_filled_panel, monkeypatch):
    start(a_filled_panel, monkeypatch, FAIL)
    desktop.wait_until(lambda: not a_filled_panel.logic.running)
    assert a_filled_panel.ui.statusLabel.text == "No labels."
    assert a_filled_panel.ui.logText.plainText == "cnnseg-train: error: No labels."


def test_the_end_says_where_the_model_is(desktop, a_filled_panel, monkeypatch):
    start(a_filled_panel, monkeypatch, DONE)
    desktop.wait_until(lambda: not a_filled_panel.logic.running)
    model = a_filled_panel.ui.modelPathEdit.currentPath
    assert a_filled_panel.ui.statusLabel.text == f"Done. The model is in {model}."


def test_the_modules_own_test_passes(desktop):
    import SlicerCNNSegTrain

    SlicerCNNSegTrain.SlicerCNNSegTrainTest().runTest()


def test_the_command_understands_the_arguments():
    from SlicerCNNSegTrainLib.cli.main import build_parser

    request = TrainingRequest(Path("d"), Path("r"), Path("m"), "hippocampus-mr", 7, resume=True)
    flag, code, *arguments = request.arguments(Path("/a b"), Path("/c"))
    assert flag == "-c"
    assert "sys.path[:0] = ['/a b', '/c']" in code
    parsed = build_parser().parse_args(arguments)
    assert (parsed.command, parsed.data, parsed.run, parsed.output) == ("auto", Path("d"), Path("r"), Path("m"))
    assert (parsed.recipe, parsed.steps, parsed.resume) == ("hippocampus-mr", 7, True)


def test_lines_of_the_command():
    progress = parse_progress("Training: 12%, step 360/3000, loss 0.310")
    assert (progress.title, progress.fraction, progress.stage) == ("Training", 0.12, "step 360/3000, loss 0.310")
    assert parse_progress("Wrote the model to m") is None
    assert parse_error("cnnseg-train: error: No labels.") == "No labels."
    assert parse_error("anything else") == ""


def test_the_last_validation(tmp_path):
    assert last_validation(tmp_path) == ""
    curves = tmp_path / "fold_0" / "curves.csv"
    curves.parent.mkdir()
    curves.write_text("step,loss,learning_rate,dice,seconds\n", encoding="utf-8")
    assert last_validation(tmp_path) == ""
    curves.write_text(
        curves.read_text(encoding="utf-8") + "500,0.6,1e-3,0.8724,60\n1000,0.5,1e-3,0.8801,120\n", "utf-8"
    )
    assert last_validation(tmp_path) == "Dice 0.880 on held-out cases at step 1000"
