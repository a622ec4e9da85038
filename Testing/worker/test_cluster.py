"""Cases on a Dask cluster: the files of a run on this machine, whatever becomes of the workers meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import SimpleITK as sitk
from tiny_cases import FakeRunner, files_in, write_blob
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.cohort.cases import cases_from_paths
from SlicerCNNSegLib.engine.cohort.outputs import OutputPlan
from SlicerCNNSegLib.engine.cohort.runner import DONE, FAILED, RecordingObserver, run_cohort
from SlicerCNNSegLib.engine.errors import Cancelled, DeviceError, ModelError, SettingsError, WorkerDiedError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress, advance
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.version import VERSION
from SlicerCNNSegLib.worker import cluster as module
from SlicerCNNSegLib.worker import cluster_task
from SlicerCNNSegLib.worker.cluster import QUEUED, OnCluster, cluster
from SlicerCNNSegLib.worker.cluster_task import run_case

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'cnnseg[dask]'")

WAIT_S = 60.0
"""More than anything here takes."""

DYNUNET = {
    "_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8],
}  # fmt: skip
"""Is made without MONAI, so that processes start soon."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def settings(folder):
    return SegmentationSettings(str(write_tiny_model(folder / "unet", network=DYNUNET)), device="cpu")


@pytest.fixture(scope="module")
def cases(folder):
    return cases_from_paths([write_blob(folder / "in" / f"{name}.nii.gz", seed) for seed, name in enumerate("abc")])


@pytest.fixture(scope="module")
def volume(cases):
    return read_volume(cases[0].files[0][1])


@pytest.fixture(scope="module")
def threads():
    """A scheduler with two workers in this process."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def processes():
    """A scheduler with two workers of their own process; a case that two died of is given up."""
    from dask import config

    with (
        config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
    ):
        yield local.scheduler_address


def prepared(folder: Path) -> OutputPlan:
    plan = OutputPlan(folder, ("mha",))
    plan.prepare()
    return plan


def test_a_killed_workers_case_is_done_by_another_and_all_files_are_those_of_one_process(
    cases, settings, folder, processes
):
    marks = folder / "marks"
    marks.mkdir()

    def dying_once(order, settings, volumes):
        if order.number == 1 and not (marks / "died").exists():
            (marks / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (marks / f"{order.number} {os.getpid()}").touch()
        return run_case(order, settings, volumes)

    alone, many = prepared(folder / "alone"), prepared(folder / "many")
    run_cohort(cases, settings, alone, RecordingObserver())
    with cluster(processes, 0, settings) as runners:
        assert len(runners) == 2
        mortal = [OnCluster(runner._link, dying_once) for runner in runners]
        result = run_cohort(cases, settings, many, RecordingObserver(), workers=mortal)
    assert [outcome.status for outcome in result.outcomes] == [DONE] * 3
    assert files_in(many.folder) == files_in(alone.folder)
    assert many.table.read_text() == alone.table.read_text()
    for case in cases:
        one, other = (sitk.GetArrayFromImage(sitk.ReadImage(p.folder / f"{case.id}.mha")) for p in (alone, many))
        assert one.any()
        assert (one == other).all()
    ran = [name.split() for name in files_in(marks) if name != "died"]
    assert sorted(number for number, _ in ran) == ["0", "1", "2"]
    assert str(os.getpid()) not in {pid for _, pid in ran}


def test_a_case_that_workers_die_of_again_and_again_fails_alone(cases, settings, folder, processes):
    def dying(order, settings, volumes):
        if order.number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_case(order, settings, volumes)

    plan = prepared(folder / "dying")
    with cluster(processes, 1, settings) as runners:
        result = run_cohort(
            cases[:2], settings, plan, RecordingObserver(), workers=[OnCluster(r._link, dying) for r in runners]
        )
    assert [outcome.status for outcome in result.outcomes] == [FAILED, DONE]
    assert isinstance(result.outcomes[0].error, WorkerDiedError)
    assert "2 workers of the cluster died" in str(result.outcomes[0].error)
    assert files_in(plan.folder) == ["b.mha", "b.run.json", "volumes.csv"]


def test_progress_comes_back_and_a_wish_to_stop_reaches_the_worker(threads, settings, volume, monkeypatch):
    ended = threading.Event()

    def work_for_ever(settings, volumes, progress):
        try:
            while True:
                advance(progress, 0.25, "Working")
                time.sleep(0.01)
        except Cancelled:
            ended.set()
            raise

    monkeypatch.setattr(cluster_task, "run", work_for_ever)
    progress = RecordingProgress(cancel_at=0.2)
    with cluster(threads, 1, settings) as (runner,):
        with pytest.raises(Cancelled):
            runner(settings, [volume], progress)
        assert ended.wait(WAIT_S)
    assert progress.reports[-1] == (0.25, "Working")
    assert {stage for _, stage in progress.reports} <= {QUEUED, "Working"}


def test_what_a_run_raises_arrives_as_it_is(threads, settings, volume, monkeypatch):
    def fail(settings, volumes, progress):
        raise DeviceError("no such device")

    monkeypatch.setattr(cluster_task, "run", fail)
    with cluster(threads, 1, settings) as (runner,), pytest.raises(DeviceError, match="no such device"):
        runner(settings, [volume], NoProgress())


def test_one_case_at_a_time_in_a_process_with_as_many_threads_as_its_worker(threads, settings, volume, monkeypatch):
    at_work, most, used = [], [], []

    def work(settings, volumes, progress):
        at_work.append(1)
        time.sleep(0.1)
        most.append(len(at_work))
        at_work.pop()
        return FakeRunner()(settings, volumes, progress)

    monkeypatch.setattr(cluster_task, "run", work)
    monkeypatch.setattr("SlicerCNNSegLib.engine.device.use_threads", used.append)
    with cluster(threads, 2, settings) as runners:
        both = [threading.Thread(target=r, args=(settings, [volume], NoProgress())) for r in runners]
        for one in both:
            one.start()
        for one in both:
            one.join(WAIT_S)
    assert most == [1, 1]
    assert used == [1, 1]


def test_models_named_by_a_folder_are_found_from_another_one(threads, settings, volume, monkeypatch):
    got = []
    monkeypatch.setattr(cluster_task, "run", lambda *given: got.append(given) or FakeRunner()(*given))
    monkeypatch.chdir(Path(settings.model).parent)
    with cluster(threads, 1, replace(settings, model="unet")) as (runner,):
        runner(replace(settings, model="unet"), [volume], NoProgress())
    assert got[0][0] == settings
    assert (got[0][1][0].array == volume.array).all()


def test_other_weights_under_the_same_name_are_refused(threads, settings, volume, monkeypatch):
    monkeypatch.setattr(cluster_task, "run", FakeRunner())
    with cluster(threads, 1, settings) as (runner,):
        runner._link.model_sha256 = "0" * 64
        with pytest.raises(ModelError, match=r"other weights of the model .*unet \(SHA-256 \w{12}, expected 0{12}\)"):
            runner(settings, [volume], NoProgress())


def test_workers_of_another_version_are_refused_before_the_first_case_and_later(threads, settings, volume, monkeypatch):
    with cluster(threads, 1, settings) as (runner,):
        monkeypatch.setattr(module, "VERSION", "9.9")
        with pytest.raises(SettingsError, match=f"has CNNSeg {VERSION}, expected 9.9"):
            runner(settings, [volume], NoProgress())
    with pytest.raises(SettingsError, match=f"has CNNSeg {VERSION}, expected 9.9"), cluster(threads, 1, settings):
        pass


def test_a_worker_without_cnnseg_is_named():
    class Client:
        def run(self, function, on_error):
            from distributed.protocol.pickle import dumps

            line = "import pickle, sys; sys.modules['SlicerCNNSegLib'] = None; pickle.load(sys.stdin.buffer)()"
            done = subprocess.run([sys.executable, "-c", line], input=dumps(function), capture_output=True, check=False)
            return {"tcp://there": ModuleNotFoundError(done.stderr.decode().splitlines()[-1])}

    with pytest.raises(
        SettingsError, match=r"The worker tcp://there cannot load CNNSeg .*No module named 'SlicerCNNSegLib"
    ):
        module._checked(Client(), "tcp://here")


def test_a_scheduler_that_is_lost_stops_the_run():
    def lost():
        raise CancelledError

    link = module._Link(SimpleNamespace(subscribe_topic=lambda *_: None), "tcp://here", "")
    with pytest.raises(DeviceError, match="The Dask scheduler at tcp://here is gone"):
        link.result(SimpleNamespace(result=lost))


def test_a_scheduler_without_workers_needs_to_be_told_how_many_cases(settings):
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as local:
        with pytest.raises(SettingsError, match="has no workers yet"), cluster(local.scheduler_address, 0, settings):
            pass
        with cluster(local.scheduler_address, 3, settings) as runners:
            assert len(runners) == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", "No Dask scheduler answers at tcp://127.0.0.1:1"),
        ("nonsense://there", "No Dask scheduler answers at nonsense://there"),
        ("absent.json", "There is no file absent.json"),
    ],
)
def test_a_scheduler_that_is_not_there(settings, monkeypatch, address, message):
    monkeypatch.setattr(module, "CONNECT_S", 1.0)
    with pytest.raises(SettingsError, match=message), cluster(address, 1, settings):
        pass


def test_without_dask_it_says_what_to_install(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"pip install 'cnnseg\[dask\]'"), cluster("tcp://there:1", 1, settings):
        pass
