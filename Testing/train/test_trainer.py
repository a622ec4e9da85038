"""The loop learns, and an interrupted run ends where an uninterrupted one does."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegTrainLib.engine.checking.check import divide_read
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder
from SlicerCNNSegTrainLib.engine.training import trainer as trainer_module
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.optimizer import build_optimizer, set_rate, update_average
from SlicerCNNSegTrainLib.engine.training.segmentation import SegmentationTask
from SlicerCNNSegTrainLib.engine.training.trainer import Trainer
from SlicerCNNSegTrainLib.engine.transfer.start import start_network

CPU = Hardware(torch.device("cpu"), "fp32")


@pytest.fixture
def samples(boxes, recipe):
    cases = read_folder(boxes).cases
    reading = read_cases(cases, NoProgress(), recipe)
    division = divide_read(cases, reading, recipe)
    return [[reading.samples[case.id] for case in part] for part in (division.training(0), division.held_out(0))]


@pytest.fixture
def make(samples, tmp_path):
    """Makes a trainer of a recipe in a folder."""

    def make_trainer(recipe, name="run", scores=None, **options):
        task = SegmentationTask(recipe, *samples)
        if scores is not None:
            task.score = lambda network: {"dice": next(scores)}
        return Trainer(recipe, FoldFolder(tmp_path / name), task, start_network(recipe), hardware=CPU, **options)

    return make_trainer


@pytest.fixture
def folder(tmp_path):
    return FoldFolder(tmp_path / "run")


def same_weights(one, other):
    return all(torch.equal(one[part][name], other[part][name]) for part in ("network", "average") for name in one[part])


def test_boxes_are_learned(make, folder, recipe):
    assert make(recipe).run(NoProgress()) > 0.9
    curves = folder.curves.read_text().splitlines()
    assert curves[0] == "step,loss,learning_rate,dice,dice Box,seconds"
    assert [int(line.split(",")[0]) for line in curves[1:]] == [40, 80]
    assert float(curves[2].split(",")[1]) < float(curves[1].split(",")[1])


@pytest.mark.parametrize("stop_after", [7, 30, 44])
def test_resuming_is_exact(tmp_path, make, recipe, stop_after):
    whole, parts = FoldFolder(tmp_path / "whole"), FoldFolder(tmp_path / "parts")
    make(recipe, "whole").run(NoProgress())
    make(recipe, "parts").run(RecordingProgress(cancel_at=stop_after / recipe.steps))
    assert load_checkpoint(parts.last)["step"] == stop_after
    make(recipe, "parts", resume=True).run(NoProgress())
    expected, found = load_checkpoint(whole.last), load_checkpoint(parts.last)
    assert found["step"] == recipe.steps
    assert same_weights(expected, found)
    assert found["best"] == expected["best"]
    columns = slice(0, -1)  # all but the seconds
    rows = [[line.split(",")[columns] for line in folder.curves.read_text().splitlines()] for folder in (whole, parts)]
    assert rows[0] == rows[1]


def test_ten_interruptions_at_random_steps_change_nothing(tmp_path, make, recipe):
    short = replace(recipe, steps=40, validate_every=7)
    make(short, "whole").run(NoProgress())
    stops = sorted(np.random.default_rng(0).choice(np.arange(1, short.steps), 10, replace=False))
    for stop in stops:
        make(short, "parts", resume=True).run(RecordingProgress(cancel_at=stop / short.steps))
    make(short, "parts", resume=True).run(NoProgress())
    expected, found = (load_checkpoint(FoldFolder(tmp_path / name).last) for name in ("whole", "parts"))
    assert found["step"] == 40
    assert same_weights(expected, found)


def test_of_equally_good_weights_the_later_are_kept(make, folder, recipe):
    make(replace(recipe, steps=4, validate_every=1), scores=iter([0.5, 0.8, 0.8, 0.6])).run(NoProgress())
    assert load_checkpoint(folder.best)["step"] == 3


def test_the_best_weights_are_kept_when_later_ones_are_worse(make, folder, recipe):
    best = make(replace(recipe, steps=3, validate_every=1), scores=iter([0.5, 0.8, 0.6])).run(NoProgress())
    kept = load_checkpoint(folder.best)
    assert (best, kept["step"], kept["dice"]) == (0.8, 2, 0.8)


def test_a_run_without_progress_stops_early(make, folder, recipe):
    patient = replace(recipe, steps=9, validate_every=1, patience=2)
    recording = RecordingProgress()
    assert make(patient, scores=iter([0.5, 0.8, 0.6, 0.8, 0.9])).run(recording) == 0.8
    assert load_checkpoint(folder.last)["step"] == 4
    assert recording.reports[-1][0] == 1.0


def test_a_loss_that_is_no_number_stops_the_run(make, folder, recipe):
    with pytest.raises(
        SettingsError, match=r"The loss is (nan|inf) at step \d+: expected a number. Lower learning_rate"
    ):
        make(replace(recipe, learning_rate=1e30, warmup_steps=0, clip_norm=1e30)).run(NoProgress())


def test_the_gradient_is_clipped(make, recipe):
    # AdamW without decay moves by its rate whatever the gradient's size, until eps (1e-8) counts
    still = replace(recipe, steps=1, warmup_steps=1, weight_decay=0.0, clip_norm=1e-14)
    moved = []
    for name, one in (("clipped", still), ("free", replace(still, clip_norm=1e6))):
        trainer = make(one, name)
        before = [parameter.detach().clone() for parameter in trainer._network.parameters()]
        trainer.run(NoProgress())
        after = trainer._network.parameters()
        moved.append(max(float((a - b).detach().abs().max()) for a, b in zip(after, before, strict=True)))
    assert moved[0] < 1e-3 * moved[1]


def test_a_folder_with_a_run_is_not_overwritten(make, recipe):
    short = replace(recipe, steps=1)
    make(short).run(NoProgress())
    with pytest.raises(SettingsError, match=r"holds a run already; add --resume"):
        make(short)
    with pytest.raises(SettingsError, match=r"The recipe differs from"):
        make(replace(short, learning_rate=0.5), resume=True)


def test_a_damaged_checkpoint_is_told(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"PK broken")
    with pytest.raises(FileReadError, match=r"cannot be read .* start without --resume"):
        load_checkpoint(tmp_path / "last.pt")


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from SlicerCNNSegTrainLib.engine.training.checkpoint import save_checkpoint
path = Path(sys.argv[1])
save_checkpoint(path, {"weights": torch.zeros(100)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
save_checkpoint(path, {"weights": torch.ones(100_000)})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_leaves_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "last.pt"
    paths = repr([entry for entry in sys.path if entry])
    code = f"import sys; sys.path[:0] = {paths}\n{FULL_DISK}"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "OutputError" in done.stderr
    assert load_checkpoint(path)["weights"].tolist() == [0.0] * 100
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_run_that_dies_between_validations_goes_on_near_where_it_died(make, folder, recipe, monkeypatch):
    def batch(step):
        if step == 17:
            raise MemoryError
        return honest(step)

    monkeypatch.setattr(trainer_module, "SAVE_SECONDS", 0.0)
    trainer = make(recipe)
    honest = trainer._task.batch
    trainer._task.batch = batch
    with pytest.raises(MemoryError):
        trainer.run(NoProgress())
    assert load_checkpoint(folder.last)["step"] == 17


def test_a_budget_of_time_is_kept_and_the_learning_rate_ends_low(make, folder, recipe):
    clock = itertools.count(step=0.1)  # every look at the clock takes a tenth of a second
    recording = RecordingProgress()
    make(replace(recipe, minutes=0.5), clock=lambda: next(clock)).run(recording)
    assert load_checkpoint(folder.last)["seconds"] == pytest.approx(30, rel=0.05)
    assert recording.reports[-1][0] == 1.0
    assert "of 0.5 minutes" in recording.reports[-1][1]
    rates = [float(line.split(",")[2]) for line in folder.curves.read_text().splitlines()[1:]]
    assert rates[-1] < 0.01 * recipe.learning_rate


def test_a_resumed_run_keeps_the_rest_of_its_time(make, folder, recipe):
    timed = replace(recipe, minutes=0.5)
    clock = itertools.count(step=0.1)
    make(timed, clock=lambda: next(clock)).run(RecordingProgress(cancel_at=0.5))
    assert load_checkpoint(folder.last)["seconds"] == pytest.approx(15, rel=0.1)
    later = itertools.count(start=1000, step=0.1)
    make(timed, resume=True, clock=lambda: next(later)).run(NoProgress())
    assert load_checkpoint(folder.last)["seconds"] == pytest.approx(30, rel=0.05)


def test_too_little_time_is_refused(make, recipe):
    clock = itertools.count(step=10)
    with pytest.raises(SettingsError, match=r"Expected more than 0.1 minutes: validating .* takes 20 s here"):
        make(replace(recipe, minutes=0.1), clock=lambda: next(clock))


def test_groups_get_their_share_of_the_rate(recipe):
    layers = torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)])
    groups = [
        {"params": layers[0].parameters(), "rate_share": 0.1},
        {"params": layers[1].parameters(), "rate_share": 1.0},
    ]
    optimizer = build_optimizer(groups, replace(recipe, optimizer="sgd"))
    set_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.5]
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["nesterov"]


def test_the_average_moves_a_shared_tensor_once():
    ours, theirs = (torch.nn.Linear(2, 2, bias=False) for _ in range(2))
    ours.weight.data.zero_()
    theirs.weight.data.fill_(1.0)
    update_average(torch.nn.ModuleDict({"a": ours, "b": ours}), torch.nn.ModuleDict({"a": theirs, "b": theirs}), 0.9)
    torch.testing.assert_close(ours.weight.data, torch.full((2, 2), 0.1))
