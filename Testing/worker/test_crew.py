"""Several workers for many cases: what one that dies had is done by its successor, and the files are the same."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import SimpleITK as sitk
from tiny_cases import files_in, write_blob
from tiny_model import RANDOM_UNET, write_tiny_model

import SlicerCNNSegLib
from SlicerCNNSegLib.engine.errors import ModelError, WorkerDiedError
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.worker.crew import THREADS, TRIES, Steadfast, crew
from SlicerCNNSegLib.worker.fake import FakeWorker
from SlicerCNNSegLib.worker.interface import Ended

SETTINGS = SegmentationSettings("tiny")
LIBRARY = Path(SlicerCNNSegLib.__file__).parents[1]


class Mortal(FakeWorker):
    """Dies so many times, then gives ``result``."""

    def __init__(self, deaths: int, result: object = "done") -> None:
        super().__init__()
        self.deaths, self.result = deaths, result

    def start(self, settings, volumes):
        dies = len(self.started) < self.deaths
        self.events = [Ended(error=WorkerDiedError("gone")) if dies else Ended(self.result)]
        super().start(settings, volumes)


def test_a_run_whose_worker_dies_is_done_again():
    worker = Mortal(TRIES - 1)
    assert Steadfast(worker)(SETTINGS, (), NoProgress()) == "done"
    assert worker.started == [(SETTINGS, ())] * TRIES


def test_a_run_that_every_worker_dies_of_is_given_up():
    worker = Mortal(TRIES)
    with pytest.raises(WorkerDiedError, match="gone"):
        Steadfast(worker)(SETTINGS, (), NoProgress())
    assert len(worker.started) == TRIES


def test_another_error_is_told_at_once():
    worker = FakeWorker([Ended(error=ModelError("broken"))])
    with pytest.raises(ModelError, match="broken"):
        Steadfast(worker)(SETTINGS, (), NoProgress())
    assert len(worker.started) == 1


def test_workers_share_the_cores_unless_the_user_has_said_otherwise(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    with crew(3) as runners:
        assert [runner.worker._environment[THREADS] for runner in runners] == ["2"] * 3
    with crew(16) as runners:
        assert {runner.worker._environment[THREADS] for runner in runners} == {"1"}
    monkeypatch.setenv(THREADS, "5")
    with crew(2) as runners:
        assert {runner.worker._environment[THREADS] for runner in runners} == {"5"}


def test_two_workers_give_the_files_of_one_also_when_one_is_killed(tmp_path):
    write_tiny_model(tmp_path / "models" / "unet", network=RANDOM_UNET)
    images = [write_blob(tmp_path / "in" / f"{name}.nii.gz", seed) for seed, name in enumerate("abcd")]
    environment = {
        **os.environ, "PYTHONPATH": str(LIBRARY), "CNNSEG_MODELS": str(tmp_path / "models"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def segment(out: str, *more: str) -> subprocess.Popen:
        line = [sys.executable, "-m", "SlicerCNNSegLib.cli", "segment", *map(str, images)]
        line += ["-o", str(tmp_path / out), "--model", "unet", "--format", "mha", *more]
        return subprocess.Popen(line, env=environment)

    assert segment("one").wait() == 0
    with segment("two", "--workers", "2") as process:
        parent, workers = psutil.Process(process.pid), []
        while not workers and process.poll() is None:
            workers = parent.children()
        workers[0].kill()
        assert process.wait() == 0
    assert files_in(tmp_path / "two") == files_in(tmp_path / "one")
    for name in "abcd":
        one, two = (sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / out / f"{name}.mha")) for out in ("one", "two"))
        assert one.any()
        assert (one == two).all()
    assert (tmp_path / "one" / "volumes.csv").read_text() == (tmp_path / "two" / "volumes.csv").read_text()
