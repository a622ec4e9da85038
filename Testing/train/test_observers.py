"""Who is told of a run: the picture of curves, and event files that TensorBoard reads."""

import csv
import functools
import sys

import numpy as np
import pytest
from matplotlib.image import imread, imsave
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from SlicerCNNSegTrainLib.engine.results.observers import CurvesPicture, TensorBoardLog


def row(step, dice=0.5):
    """As the trainer gives it: numbers as text."""
    return {
        "step": str(step),
        "loss": f"{2 - dice:.4f}",
        "learning_rate": "5.000e-04",
        "dice": f"{dice:.4f}",
        "dice Anterior hippocampus": f"{dice + 0.1:.4f}",
        "seconds": str(3 * step),
    }


@pytest.fixture
def sheet(tmp_path):
    """A contact sheet."""
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    imsave(tmp_path / "contact_sheet.png", picture)
    return tmp_path / "contact_sheet.png"


def log(folder, sheet, rows):
    observer = TensorBoardLog(folder, pytest.fail)
    observer.begun(sheet)
    for each in rows:
        observer.validated(each)
    observer.ended()


def scalars(folder):
    """Tag to (step, value) of the event files."""
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, round(event.value, 6)) for event in events.Scalars(tag)] for tag in tags}


def test_event_files_hold_the_numbers(tmp_path, sheet):
    log(tmp_path / "events", sheet, [row(10, 0.2), row(20, 0.6)])
    assert scalars(tmp_path / "events") == {
        "training/loss": [(10, 1.8), (20, 1.4)],
        "training/learning_rate": [(10, 0.0005), (20, 0.0005)],
        "validation/dice": [(10, 0.2), (20, 0.6)],
        "validation/dice Anterior hippocampus": [(10, 0.3), (20, 0.7)],
    }


def test_the_contact_sheet_is_there_before_the_first_step(tmp_path, sheet):
    observer = TensorBoardLog(tmp_path / "events", pytest.fail)
    observer.begun(sheet)
    (image,) = EventAccumulator(str(tmp_path / "events")).Reload().Images("contact_sheet")
    observer.ended()
    (tmp_path / "read.png").write_bytes(image.encoded_image_string)
    np.testing.assert_array_equal(imread(tmp_path / "read.png"), imread(sheet)[..., :3])
    assert image.step == 0


def test_a_resumed_run_does_not_overlap(tmp_path, sheet):
    log(tmp_path / "events", sheet, [row(10, 0.1), row(20, 0.2), row(30, 0.3)])  # killed; the checkpoint is of 10
    log(tmp_path / "events", None, [row(20, 0.25), row(30, 0.35)])
    assert scalars(tmp_path / "events")["validation/dice"] == [(10, 0.1), (20, 0.25), (30, 0.35)]
    assert len(EventAccumulator(str(tmp_path / "events")).Reload().Images("contact_sheet")) == 1


def test_a_run_anew_drops_what_was_there(tmp_path, sheet):
    log(tmp_path / "events", sheet, [row(10, 0.1)])
    log(tmp_path / "events", sheet, [row(20, 0.2)])
    assert scalars(tmp_path / "events")["validation/dice"] == [(20, 0.2)]
    assert len(EventAccumulator(str(tmp_path / "events")).Reload().Images("contact_sheet")) == 1


def test_without_tensorboard_one_line_says_so(tmp_path, sheet, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # import raises ModuleNotFoundError
    said = []
    say = functools.cache(said.append)
    for fold in range(2):
        observer = TensorBoardLog(tmp_path / f"events_{fold}", say)
        observer.begun(sheet)
        observer.validated(row(10))
        observer.validated(row(20))
        observer.ended()
    assert len(said) == 1
    assert said[0].startswith("TensorBoard is not installed")
    assert "\n" not in said[0]
    assert not list(tmp_path.glob("events_*"))


def test_the_note_is_said_once_by_one_log(tmp_path, sheet, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = []
    observer = TensorBoardLog(tmp_path / "events", said.append)
    observer.begun(sheet)
    observer.validated(row(10))
    assert len(said) == 1


def test_the_picture_follows_the_table(tmp_path):
    observer = CurvesPicture(tmp_path / "curves.csv", tmp_path / "curves.png")
    observer.begun(None)
    pictures, rows = [], []
    for step in (10, 20):
        rows.append(row(step, step / 50))
        with (tmp_path / "curves.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        observer.validated(rows[-1])
        pictures.append((tmp_path / "curves.png").read_bytes())
    observer.ended()
    assert pictures[0] != pictures[1] == (tmp_path / "curves.png").read_bytes()
