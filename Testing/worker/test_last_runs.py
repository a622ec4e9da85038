"""What the next run takes, by the last one on this computer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import worker_behaviours
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.worker.last_runs import FILE, LastRun, Looked, recall, remember
from SlicerCNNSegLib.worker.peaks import Memory


@pytest.fixture
def package(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path))
    return ModelPackage.read(write_tiny_model(tmp_path / "models" / "blob"))


def a_record(package, regions=()):
    """10 s of a volume of 10 x 20 x 30 voxels of 2 mm3, and 5 s of loading."""
    volume = Volume(np.zeros((1, 30, 20, 10), np.float32), np.diag([2.0, 1.0, 1.0, 1.0]))
    record = worker_behaviours.record_of("segmentation", SegmentationSettings("blob", regions), volume)
    seconds = {"load model": 5.0, "network": 7.0, "check": 3.0}
    return replace(record, model_version=package.version, seconds=seconds)


def test_the_next_run_takes_as_long_for_as_much_of_the_patient(package):
    assert recall(package) is None
    remember(a_record(package), 24_000, Memory(300, 200))
    last = recall(package)
    assert last == LastRun("cpu", 10.0, Looked([20.0, 20.0, 30.0], 12_000.0, 6_000.0, 24_000), Memory(300, 200))
    assert last.seconds_for(package, 6_000.0) == pytest.approx(5.0)
    assert last.seconds_for(replace(package, classes=("a", "b")), 6_000.0) == 10.0, "a classifier looks at one window"
    assert recall(replace(package, version="other")) is None
    remember(a_record(package), 24_000)
    assert recall(package).memory is None


def test_of_a_region_its_part_counts(package):
    regions = (Region("ijk", (0, 5, 0, 10, 0, 10)), Region("ras", (-100, 100, 0, 1, 0, 0.5)))
    remember(a_record(package, regions), 0)
    looked = recall(package).looked
    assert looked.voxels == 5 * 10 * 10 + 10 * 2 * 1
    assert looked.volume_mm3 == 2.0 * looked.voxels
    assert looked.extent_mm == [10.0, 10.0, 10.0], "of the largest"


def test_what_cannot_be_read_or_written_is_left_out(package, tmp_path):
    (tmp_path / FILE).write_text("[1]", encoding="utf-8")
    assert recall(package) is None
    (tmp_path / FILE).write_text(json.dumps({f"blob {package.version}": {"device": "cpu"}}), encoding="utf-8")
    assert recall(package) is None
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    remember(a_record(package), 0)
    assert recall(package) is None
