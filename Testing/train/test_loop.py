"""The loop learns, and an interrupted run ends where an uninterrupted one does."""

from dataclasses import replace

import pytest
import torch

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegTrainLib.engine.check import divide_read
from SlicerCNNSegTrainLib.engine.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.folder import read_folder
from SlicerCNNSegTrainLib.engine.loop import Trainer, _average_weights, learning_rate
from SlicerCNNSegTrainLib.engine.losses import DeepSupervisionLoss
from SlicerCNNSegTrainLib.engine.reading import read_cases
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder


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


def test_the_learning_rate_warms_up_and_falls_to_zero(recipe):
    rates = [learning_rate(recipe, step) for step in range(recipe.steps + 1)]
    assert rates[0] == pytest.approx(recipe.learning_rate / recipe.warmup_steps)
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates.index(max(rates)) in (recipe.warmup_steps - 1, recipe.warmup_steps)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[recipe.warmup_steps :] == sorted(rates[recipe.warmup_steps :], reverse=True)


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
