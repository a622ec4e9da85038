"""The loop learns, and an interrupted run ends where an uninterrupted one does."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegTrainLib.engine.checking.check import divide_read
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training import trainer as loop
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.training.losses import DeepSupervisionLoss
from SlicerCNNSegTrainLib.engine.training.trainer import Trainer, _average_weights


@pytest.fixture
def samples(boxes, recipe):
    cases = read_folder(boxes).cases
    reading = read_cases(cases, NoProgress(), recipe)
    division = divide_read(cases, reading, recipe)
    return [[reading.samples[case.id] for case in part] for part in (division.training(0), division.held_out(0))]


def test_boxes_are_learned(tmp_path, recipe, samples):
    best = Trainer(recipe, RunFolder(tmp_path), *samples).run(NoProgress())
    assert best > 0.9
    curves = RunFolder(tmp_path).curves.read_text().splitlines()
    assert curves[0] == "step,loss,learning_rate,dice,seconds"
    assert [int(line.split(",")[0]) for line in curves[1:]] == [30, 60]
    assert float(curves[2].split(",")[1]) < float(curves[1].split(",")[1])


@pytest.mark.parametrize("stop_after", [7, 30, 44])
def test_resuming_is_exact(tmp_path, recipe, samples, stop_after):
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    Trainer(recipe, whole, *samples).run(NoProgress())
    Trainer(recipe, parts, *samples).run(RecordingProgress(cancel_at=stop_after / recipe.steps))
    assert load_checkpoint(parts.last)["step"] == stop_after
    Trainer(recipe, parts, *samples, resume=True).run(NoProgress())
    expected, found = load_checkpoint(whole.last), load_checkpoint(parts.last)
    assert found["step"] == recipe.steps
    for part in ("network", "average"):
        assert all(torch.equal(expected[part][name], found[part][name]) for name in expected[part])
    assert found["best"] == expected["best"]


def test_the_best_weights_are_kept_when_later_ones_are_worse(tmp_path, recipe, samples, monkeypatch):
    scores = iter([0.5, 0.8, 0.6])
    monkeypatch.setattr(loop, "mean_dice", lambda *_: np.array([next(scores)]))
    best = Trainer(replace(recipe, steps=3, validate_every=1), RunFolder(tmp_path), *samples).run(NoProgress())
    kept = load_checkpoint(RunFolder(tmp_path).best)
    assert (best, kept["step"], kept["dice"]) == (0.8, 2, 0.8)


def test_the_gradient_is_clipped(tmp_path, recipe, samples):
    # AdamW without decay moves by its rate whatever the gradient's size, until eps (1e-8) counts
    still = replace(recipe, steps=1, warmup_steps=1, weight_decay=0.0, clip_norm=1e-14)
    moved = []
    for name, one in (("clipped", still), ("free", replace(still, clip_norm=1e6))):
        trainer = Trainer(one, RunFolder(tmp_path / name), *samples)
        before = [parameter.detach().clone() for parameter in trainer._network.parameters()]
        trainer.run(NoProgress())
        after = trainer._network.parameters()
        moved.append(max(float((a - b).detach().abs().max()) for a, b in zip(after, before, strict=True)))
    assert moved[0] < 1e-3 * moved[1]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path, recipe, samples):
    short = replace(recipe, steps=1)
    Trainer(short, RunFolder(tmp_path), *samples).run(NoProgress())
    with pytest.raises(SettingsError, match=r"holds a run already; add --resume"):
        Trainer(short, RunFolder(tmp_path), *samples)
    with pytest.raises(SettingsError, match=r"The recipe differs from"):
        Trainer(replace(short, learning_rate=0.5), RunFolder(tmp_path), *samples, resume=True)


def test_a_damaged_checkpoint_is_told(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"PK broken")
    with pytest.raises(FileReadError, match=r"cannot be read .* start without --resume"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_budget_of_time_is_kept_and_the_learning_rate_ends_low(tmp_path, recipe, samples):
    clock = itertools.count(step=0.1)  # every look at the clock takes a tenth of a second
    timed = replace(recipe, minutes=0.5)
    trainer = Trainer(timed, RunFolder(tmp_path), *samples, clock=lambda: next(clock))
    recording = RecordingProgress()
    trainer.run(recording)
    state = load_checkpoint(RunFolder(tmp_path).last)
    assert state["seconds"] == pytest.approx(30, rel=0.05)
    assert recording.reports[-1][0] == 1.0
    assert "of 0.5 minutes" in recording.reports[-1][1]
    rates = [float(line.split(",")[2]) for line in RunFolder(tmp_path).curves.read_text().splitlines()[1:]]
    assert rates[-1] < 0.01 * recipe.learning_rate


def test_a_resumed_run_keeps_the_rest_of_its_time(tmp_path, recipe, samples):
    timed = replace(recipe, minutes=0.5)
    clock = itertools.count(step=0.1)
    Trainer(timed, RunFolder(tmp_path), *samples, clock=lambda: next(clock)).run(RecordingProgress(cancel_at=0.5))
    assert load_checkpoint(RunFolder(tmp_path).last)["seconds"] == pytest.approx(15, rel=0.1)
    later = itertools.count(start=1000, step=0.1)
    Trainer(timed, RunFolder(tmp_path), *samples, resume=True, clock=lambda: next(later)).run(NoProgress())
    assert load_checkpoint(RunFolder(tmp_path).last)["seconds"] == pytest.approx(30, rel=0.05)


def test_too_little_time_is_refused(tmp_path, recipe, samples):
    clock = itertools.count(step=10)
    with pytest.raises(SettingsError, match=r"Expected more than 0.1 minutes: validating .* takes 20 s here"):
        Trainer(replace(recipe, minutes=0.1), RunFolder(tmp_path), *samples, clock=lambda: next(clock))


def test_deep_supervision_weighs_the_levels_by_halves():
    label = torch.zeros(1, 1, 4, 4, 4, dtype=torch.long)
    label[..., :2] = 1
    generator = torch.Generator().manual_seed(0)
    fine, coarse = (torch.randn(1, 2, 4, 4, 4, generator=generator) for _ in range(2))
    loss = DeepSupervisionLoss()
    both = loss(torch.stack([fine, coarse], dim=1), label)
    assert both.item() == pytest.approx((2 * loss(fine, label) + loss(coarse, label)).item() / 3, rel=1e-6)


def test_the_average_moves_a_shared_tensor_once():
    ours, theirs = (torch.nn.Linear(2, 2, bias=False) for _ in range(2))
    ours.weight.data.zero_()
    theirs.weight.data.fill_(1.0)
    _average_weights(torch.nn.ModuleDict({"a": ours, "b": ours}), torch.nn.ModuleDict({"a": theirs, "b": theirs}), 0.9)
    torch.testing.assert_close(ours.weight.data, torch.full((2, 2), 0.1))
