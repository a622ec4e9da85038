"""Which precision and layout a run takes: what a trial decides, when there is one, and what is remembered of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_cases import blob_array
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine import remembered
from SlicerCNNSegLib.engine.errors import Cancelled
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.remembered import recalled, remember
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.windows import Inferer, trial
from SlicerCNNSegLib.engine.windows.network import CHANNELS_LAST, CONTIGUOUS
from SlicerCNNSegLib.engine.windows.trial import AGREEMENT, MARGIN, WINDOWS, WORTH, Choice, Way, decided

WAYS = ("bf16 channels last", "bf16 contiguous", "fp32 channels last", "fp32 contiguous")
NARROW = torch.full((1, 24, 24, 24), 1.001)
"""In bfloat16 it is 1, which is not more than the other class's score."""


class OverOne(torch.nn.Module):
    """Class 1 where the image is above 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = torch.nn.Conv3d(1, 2, 1)
        with torch.no_grad():
            self.scores.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
            self.scores.bias.copy_(torch.tensor([1.0, 0.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.scores(image)


class Clock:
    """A clock that a way's windows take so many seconds of; the first window of each takes ten more."""

    def __init__(self, *seconds: float) -> None:
        self.steps = [step for one in seconds for step in (one + 10.0, *[one] * (WINDOWS - 1))]
        self.now, self.calls = 0.0, 0

    def __call__(self) -> float:
        if self.calls % 2:
            self.now += self.steps[self.calls // 2]
        self.calls += 1
        return self.now


@pytest.fixture(autouse=True)
def hardware_with_bf16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


@pytest.fixture
def choice(tmp_path):
    """Of an image with as many windows as are worth a trial."""
    image = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(0)) * 2
    network = OverOne().requires_grad_(False).eval()
    return Choice("auto", image, [network], Inferer((6, 6, 6)), "0" * 64, False, 1, tmp_path / "home" / "trials.json")


def test_there_are_four_ways_and_the_rules_comes_first(choice):
    assert tuple(way.name for way in choice.ways) == WAYS


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((1.0, 0.5, 2.0, 2.0), "bf16 contiguous"),
        ((1.0, 2.0, 0.5, 2.0), "fp32 channels last"),
        ((1.0, 2.0, 2.0, 0.5), "fp32 contiguous"),
        ((1.0, 1.01 / MARGIN, 2.0, 2.0), "bf16 channels last"),
        ((1.0, 0.99 / MARGIN, 2.0, 2.0), "bf16 contiguous"),
    ],
)
def test_the_fastest_is_taken_where_it_is_clearly_faster(choice, seconds, expected):
    clock = Clock(*seconds)
    way = choice.tried(NoProgress(), clock)
    assert (way.name, way.source) == (expected, "trial")
    assert list(way.seconds) == list(WAYS)
    assert list(way.seconds.values()) == pytest.approx(seconds, abs=1e-4)
    assert clock.calls == 2 * WINDOWS * len(WAYS)


def test_half_precision_is_not_taken_where_it_gives_other_labels(choice):
    way = replace(choice, image=NARROW).tried(NoProgress(), Clock(1.0, 1.0, 8.0, 9.0))
    assert (way.precision, way.layout, way.agreement) == ("fp32", CHANNELS_LAST, 0.0)


def test_a_models_card_may_say_that_half_precision_is_as_good(choice):
    way = replace(choice, image=NARROW, half_precision=True).tried(NoProgress(), Clock(1.0, 1.0, 8.0, 9.0))
    assert (way.precision, way.agreement) == ("bf16", 0.0)


@pytest.mark.parametrize(("others", "precision"), [(0, "bf16"), (1, "bf16"), (2, "fp32")])
def test_half_precision_needs_the_same_labels_nearly_everywhere(others, precision):
    exact, half = torch.zeros(1000, dtype=torch.long), torch.zeros(1000, dtype=torch.long)
    half[:others] = 1
    ways = [Way("bf16", CHANNELS_LAST), Way("fp32", CHANNELS_LAST)]
    names = [way.name for way in ways]
    way = decided(ways, dict(zip(names, (1.0, 3.0), strict=True)), dict(zip(names, (half, exact), strict=True)))
    assert way.precision == precision
    assert way.agreement == pytest.approx(1 - others / 1000)
    assert AGREEMENT == 0.999


def test_a_trial_is_remembered_and_asked_for_once(choice):
    assert choice.settled() is None
    found = choice.tried(NoProgress(), Clock(1.0, 0.5, 2.0, 2.0))
    again = choice.settled()
    assert again == Way(found.precision, found.layout, "cache")
    assert replace(choice, image=choice.image[:, :6, :6, :6]).settled() == Way("bf16", CHANNELS_LAST, "rule")
    assert again.to_json() == {"precision": "bf16", "layout": CONTIGUOUS, "source": "cache"}
    (entry,) = json.loads(choice.file.read_text()).values()
    assert entry == found.to_json()


@pytest.mark.parametrize(
    "other",
    [
        {"model_sha256": "1" * 64},
        {"half_precision": True},
        {"inferer": Inferer((6, 6, 5))},
        {"threads": 7},
        {"version": "9.9"},
        {"processor": "another"},
    ],
)
def test_what_was_found_for_something_else_does_not_count(choice, monkeypatch, other):
    choice.tried(NoProgress(), Clock(1.0, 0.5, 2.0, 2.0))
    assert choice.settled() is not None
    if "threads" in other:
        monkeypatch.setattr(torch, "get_num_threads", lambda: other["threads"])
    if "version" in other:
        monkeypatch.setattr(torch, "__version__", other["version"])
    if "processor" in other:
        monkeypatch.setattr(trial, "_processor", lambda: other["processor"])
    own = {name: value for name, value in other.items() if name in ("model_sha256", "half_precision", "inferer")}
    assert replace(choice, **own).settled() is None


def test_a_small_run_follows_the_rule(choice):
    few = replace(choice, inferer=Inferer((6, 6, 6), 0.0))  # 64 windows
    assert WORTH * WINDOWS * len(WAYS) == 96
    assert few.settled() == Way("bf16", CHANNELS_LAST, "rule")
    assert replace(few, passes=2).settled() is None
    assert not few.file.exists()


def test_what_is_asked_for_is_taken_without_a_trial(choice):
    assert replace(choice, requested="fp32").settled() == Way("fp32", CHANNELS_LAST, "forced")
    assert replace(choice, requested="bf16").settled() == Way("bf16", CHANNELS_LAST, "forced")


def test_a_network_that_is_left_as_it_is_has_one_layout(choice):
    network = torch.nn.Sequential(choice.networks[0], torch.nn.LayerNorm(6))
    assert [way.name for way in replace(choice, networks=[network]).ways] == ["bf16 contiguous", "fp32 contiguous"]


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff\xfe", b"null", b'{"KEY": 3}', b'{"KEY": {"precision": "int8"}}', b"[" * 10**5]
)
def test_a_broken_file_is_as_good_as_none_and_replaced(choice, text):
    choice.file.parent.mkdir()
    choice.file.write_bytes(text.replace(b"KEY", choice._key().encode()))
    assert choice.settled() is None
    choice.tried(NoProgress(), Clock(1.0, 0.5, 2.0, 2.0))
    assert choice.settled() == Way("bf16", CONTIGUOUS, "cache")


def test_a_file_that_cannot_be_written_is_no_fault(choice, tmp_path):
    (tmp_path / "in the way").touch()
    nowhere = replace(choice, file=tmp_path / "in the way" / "trials.json")
    assert nowhere.tried(NoProgress(), Clock(1.0, 0.5, 2.0, 2.0)).layout == CONTIGUOUS
    assert nowhere.settled() is None


def test_the_newest_entries_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 2)
    for key in ("a", "b", "a", "c"):
        remember(tmp_path / "trials.json", key, {"key": key})
    assert [recalled(tmp_path / "trials.json", key) for key in "abc"] == [{"key": "a"}, None, {"key": "c"}]


def test_a_trial_can_be_cancelled(choice):
    with pytest.raises(Cancelled):
        choice.tried(RecordingProgress(cancel_at=0.0), Clock(1.0, 1.0, 1.0, 1.0))
    assert not choice.file.exists()


def test_a_run_says_how_it_was_chosen_and_gives_the_same_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    folder = write_tiny_model(tmp_path / "models" / "blob", window=(6, 6, 6))
    volume = Volume(blob_array()[None], np.diag([-1.0, -1.0, 2.0, 1.0]), modality="MR")
    ways = {"auto": "trial", "again": "cache", "fp32": "forced"}
    results = {}
    for name in ways:
        precision = name if name == "fp32" else "auto"
        results[name] = run(SegmentationSettings(str(folder), device="cpu", precision=precision), [volume])
    assert {name: one.record.choice["source"] for name, one in results.items()} == ways
    assert set(results["auto"].record.choice["seconds"]) == set(WAYS)
    assert results["auto"].record.precision == results["again"].record.precision
    assert "trial" in results["auto"].record.seconds
    assert "trial" not in results["again"].record.seconds
    assert (tmp_path / "trials.json").is_file()
    assert results["fp32"].labelmap.any()
    for one in results.values():
        assert (one.labelmap == results["fp32"].labelmap).all()
