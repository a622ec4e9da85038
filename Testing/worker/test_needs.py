"""How much memory the next run needs: by arithmetic, and against what runs in the resident worker really take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import write_tiny_model
from worker_control import end_of

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.worker.client import WorkerClient
from SlicerCNNSegLib.worker.last_runs import LastRun, Looked, looked_at, recall, remember
from SlicerCNNSegLib.worker.needs import (
    ABOUT,
    AT_LEAST,
    LAST_RUN,
    LIBRARIES_BYTES,
    Held,
    Need,
    held_of,
    needed,
    windows_of,
)
from SlicerCNNSegLib.worker.peaks import CLEAR, Memory, Meter

FACTOR = 1.4
"""Within which the estimate is of the real peak."""

LOOKED = Looked((64.0, 48.0, 32.0), 64 * 48 * 32, 64 * 48 * 32, 200_000)
HELD = Held(200_000 + 4 * 98_304 + 3 * 4 * 12_288, 200_000 + 2 * 4 * 12_288 + 2 * 98_304, 4 * 3 * 24 * 16 * 16, 2)
"""Of a model at 2 mm in windows of 16 voxels: network space has 32 x 24 x 16 of them, and 3 x 2 x 1 windows."""


@pytest.fixture
def package(tmp_path):
    return ModelPackage.read(write_tiny_model(tmp_path / "blob", spacing_mm=(2.0, 2.0, 2.0)))


def test_what_is_held_of_an_image_follows_from_windows_classes_and_spacing(package):
    assert held_of(package, windows_of(package), LOOKED) == HELD
    small = Looked((10.0, 10.0, 10.0), 1000.0, 1000.0, 0)
    assert held_of(package, windows_of(package), small).windows == 1


def test_nnunet_keeps_scores_of_the_whole_image_in_half_precision(package):
    normal = {"scheme": "NoNormalization"}
    block = {
        "configuration": "3d_fullres", "patch_size": [8, 16, 32], "spacing_mm": [4.0, 2.0, 1.0],
        "transpose": [1, 0, 2], "orientation": "", "intensities": [normal], "images": {}, "scores": {},
        "mirror_axes": [], "region_values": [],
    }  # fmt: skip
    foreign = replace(package, inference={"nnunet": block})
    windows = windows_of(foreign)
    assert (windows.spacing_mm, windows.size) == ((1.0, 4.0, 2.0), (32, 8, 16)), "along R, A, S"
    assert held_of(foreign, windows, LOOKED).scores == 2 * 2 * 64 * 12 * 16
    flat = {**block, "patch_size": [16, 32], "spacing_mm": [2.0, 1.0], "transpose": [0, 1, 2]}
    assert windows_of(replace(package, inference={"nnunet": flat})).size == (32, 16, 1)


def test_the_last_run_says_what_libraries_and_windows_take(package):
    memory = Memory(peak=500_000_000, base=300_000_000)
    last = LastRun("cpu", 1.0, LOOKED, memory)
    assert needed(package, LOOKED, last) == Need(memory.peak, 0, ABOUT)
    one_window = Looked((32.0, 32.0, 32.0), 32.0**3, 32.0**3, 0)
    held = held_of(package, windows_of(package), one_window)
    worked = (500_000_000 - 300_000_000 - HELD.running - HELD.scores) / 2
    assert needed(package, one_window, last).process == round(300_000_000 + held.running + held.scores + worked)
    large = Looked((3200.0, 2400.0, 1600.0), 64e9, 64e9, 128_000_000_000)
    assert needed(package, large, last).process > 128e9 + 4 * 64e9, "as floats before they are resampled"


def test_of_a_graphics_card_scores_and_windows_count(package):
    last = LastRun("cuda:0", 1.0, LOOKED, Memory(peak=900_000_000, base=800_000_000, card=60_000_000))
    need = needed(package, LOOKED, last)
    assert need == Need(900_000_000, 60_000_000, ABOUT)
    wider = replace(LOOKED, extent_mm=(64.0, 48.0, 64.0), voxels=2 * LOOKED.voxels)
    more = needed(package, wider, last)
    assert more.card - need.card == HELD.scores, "twice the plane, as many windows at once"
    assert more.process > need.process


def test_before_the_first_run_it_is_the_least(package):
    held = held_of(package, windows_of(package), LOOKED)
    assert needed(package, LOOKED, None) == Need(LIBRARIES_BYTES + package.size_bytes + held.preparing, 0, AT_LEAST)
    assert needed(replace(package, task="detection"), LOOKED, None) is None
    assert windows_of(replace(package, inference={"inferer": {"roi_size": "x"}})) is None


def test_of_a_model_that_does_not_say_how_it_goes_the_last_run_is_told(package):
    last = LastRun("cpu", 1.0, LOOKED, Memory(5, 3))
    assert needed(replace(package, task="detection"), LOOKED, last) == Need(5, 0, LAST_RUN)
    assert needed(replace(package, task="detection"), LOOKED, replace(last, memory=None)) is None


@pytest.mark.skipif(not CLEAR.exists(), reason="a process's peak begins anew in Linux alone")
def test_a_meter_measures_its_own_time_alone():
    def peak_of(megabytes):
        meter = Meter()
        filled = np.ones((megabytes, 2**20), np.uint8)
        return meter.read([filled])

    first, second = peak_of(200), peak_of(20)
    assert first.peak - first.base == pytest.approx(200 * 2**20, rel=0.1)
    assert second.peak - second.base == pytest.approx(20 * 2**20, rel=0.3)
    assert (first.card, second.card) == (0, 0)


@pytest.mark.skipif(not CLEAR.exists(), reason="a process's peak begins anew in Linux alone")
def test_the_estimate_is_near_the_real_peak_of_runs_in_the_worker():
    """Each of two runs of very different size foretells the other one, and the least is below both."""
    package, seen = find_model("hippocampus-mr"), []
    with WorkerClient() as client:
        for size_kji, spacing_mm, kind in (((36, 50, 36), 1.0, np.float32), ((100, 160, 160), 0.4, np.int16)):
            array = np.random.default_rng(0).integers(0, 1000, (1, *size_kji)).astype(kind)
            volume = Volume(array, np.diag([spacing_mm] * 3 + [1.0]), modality="MR")
            client.start(SegmentationSettings(package.id, device="cpu"), [volume])
            end = end_of(client, timeout_s=300)
            remember(end.result.record, array.nbytes, end.memory)
            seen.append((looked_at(volume.geometry, (), array.nbytes), recall(package)))
    for looked, real in seen:
        assert needed(package, looked, None).process < real.memory.peak
        for _, last in seen:
            estimate = needed(package, looked, last)
            assert estimate.meant == ABOUT
            assert real.memory.peak / FACTOR < estimate.process < real.memory.peak * FACTOR
