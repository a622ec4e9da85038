"""Many cases: failing ones are told, finished ones stay, resuming skips what is done and verified."""

import csv
import json
import os
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_cases import BLOB_VOXELS, FakeRunner, write_blob
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.cohort.cases import Case, cases_from_paths
from SlicerCNNSegLib.engine.cohort.outputs import OutputPlan
from SlicerCNNSegLib.engine.cohort.runner import DONE, FAILED, SKIPPED, RecordingObserver, run_cohort
from SlicerCNNSegLib.engine.cohort.telling import Together
from SlicerCNNSegLib.engine.cohort.work import read_file
from SlicerCNNSegLib.engine.errors import (
    Cancelled,
    ChannelError,
    DeviceError,
    FileReadError,
    InputError,
    OutOfMemoryError,
    SettingsError,
    WeightsError,
)
from SlicerCNNSegLib.engine.progress import advance
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings

WAIT_S = 20.0
"""More than anything here takes."""


@pytest.fixture
def settings(tmp_path):
    return SegmentationSettings(str(write_tiny_model(tmp_path / "models" / "blob")))


@pytest.fixture
def cases(tmp_path):
    return cases_from_paths([write_blob(tmp_path / "in" / f"{name}.nii.gz", seed) for seed, name in enumerate("abc")])


@pytest.fixture
def plan(tmp_path):
    plan = OutputPlan(tmp_path / "out", ("nii.gz",))
    plan.prepare()
    return plan


def failing(name: str, error: BaseException):
    """What a runner does to the image of that name."""

    def fail(volume):
        if name in str(volume.source):
            raise error

    return fail


def written(plan) -> list[str]:
    return sorted(path.name for path in plan.folder.iterdir())


def listed(plan) -> list[str]:
    with plan.table.open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file)]


def appears(path) -> bool:
    """Whether a file is there before long."""
    end = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return path.exists()


def statuses(result) -> list[str]:
    return [outcome.status for outcome in result.outcomes]


def test_every_case_gets_its_files_and_the_observer_hears_all_of_it(cases, settings, plan):
    observer = RecordingObserver()
    result = run_cohort(cases, settings, plan, observer, runner=FakeRunner())
    assert statuses(result) == [DONE] * 3
    assert written(plan) == sorted([f"{c}.{s}" for c in "abc" for s in ("nii.gz", "run.json")] + ["volumes.csv"])
    assert listed(plan) == ["a", "b", "c"]
    assert observer.cases == tuple(cases)
    assert tuple(observer.outcomes) == result.outcomes
    assert observer.results == [result]
    for position in range(3):
        fractions = [fraction for where, fraction, _ in observer.reports if where == position]
        assert fractions == sorted(fractions)
    stages = [stage for position, _, stage in observer.reports if position == 1]
    assert list(dict.fromkeys(stages)) == ["Reading", "Thresholding", "Writing"]
    outcome = result.outcomes[0]
    assert outcome.outputs == (plan.folder / "a.nii.gz", plan.folder / "a.run.json")
    assert outcome.rows[0]["voxels"] == BLOB_VOXELS
    assert outcome.seconds > 0


def test_while_the_network_runs_the_next_case_is_read_and_the_one_before_is_written(cases, settings, plan):
    read, seen = {case.files[0][1].name: threading.Event() for case in cases}, []

    def reader(path, **options):
        volume = read_file(path, **options)
        read[path.name].set()
        return volume

    def wait_for_neighbours(volume):
        if "b.nii.gz" in str(volume.source):
            seen.append(read["c.nii.gz"].wait(WAIT_S))
            seen.append(appears(plan.record("a")))

    result = run_cohort(
        cases, settings, plan, RecordingObserver(), runner=FakeRunner(wait_for_neighbours), reader=reader
    )
    assert seen == [True, True]
    assert statuses(result) == [DONE] * 3


@pytest.mark.parametrize("stopped", [False, True])
def test_cases_are_told_in_order_though_one_is_overtaken_while_it_is_written(cases, settings, plan, stopped):
    class Slow(OutputPlan):
        """Writes the first case when the second one's files are there."""

        def write(self, part, suffix, case_id, volume, result):
            if case_id == "a":
                assert appears(self.record("b"))
                if stopped:
                    raise Cancelled
            super().write(part, suffix, case_id, volume, result)

    slow, observer = Slow(plan.folder, ("nii.gz",)), RecordingObserver()
    result = run_cohort(cases, settings, slow, observer, runner=FakeRunner())
    told = [outcome.case.id for outcome in observer.outcomes]
    assert told == sorted(told)
    assert told == [outcome.case.id for outcome in result.outcomes]
    assert result.stopped is stopped
    assert ("a" not in told and "b" in told) if stopped else told == ["a", "b", "c"]


def test_no_more_than_one_case_is_read_ahead(cases, settings, plan):
    read, held = [], []

    def reader(path, **options):
        read.append(path.name)
        return read_file(path, **options)

    def look(volume):
        if "a.nii.gz" in str(volume.source):
            time.sleep(0.3)
            held.append(len(read))

    run_cohort(cases, settings, plan, RecordingObserver(), runner=FakeRunner(look), reader=reader)
    assert held == [2]


def test_runs_observer_and_interrupts_are_of_the_calling_thread(cases, settings, plan):
    threads = set()

    class Observer(RecordingObserver):
        def progressed(self, position, fraction, stage):
            threads.add(threading.get_ident())

        def finished(self, position, outcome):
            threads.add(threading.get_ident())

    runner = FakeRunner(lambda volume: threads.add(threading.get_ident()))
    run_cohort(cases, settings, plan, Observer(), runner=runner)
    assert threads == {threading.get_ident()}


def test_workers_run_cases_at_the_same_time_and_outcomes_keep_their_order(cases, settings, plan):
    together = threading.Barrier(2, timeout=WAIT_S)
    first, second = FakeRunner(lambda volume: together.wait()), FakeRunner(lambda volume: together.wait())
    observer = RecordingObserver()
    result = run_cohort(cases[:2], settings, plan, observer, workers=[first, second])
    assert statuses(result) == [DONE] * 2
    assert [outcome.case.id for outcome in result.outcomes] == ["a", "b"]
    assert (len(first.calls), len(second.calls)) == (1, 1)
    assert listed(plan) == ["a", "b"]


def test_an_error_of_one_worker_that_stops_every_case_stops_the_others(cases, settings, plan):
    begun = threading.Event()

    def wait_to_be_stopped(settings, volumes, progress):
        begun.set()
        for _ in range(round(WAIT_S / 0.01)):
            advance(progress, 0.5, "Waiting")
            time.sleep(0.01)

    def break_down(settings, volumes, progress):
        begun.wait(WAIT_S)
        raise DeviceError("broken")

    with pytest.raises(DeviceError, match="broken"):
        run_cohort(cases, settings, plan, RecordingObserver(), workers=[wait_to_be_stopped, break_down])
    assert written(plan) == []


def test_ctrl_c_while_workers_run_stops_them(cases, settings, plan):
    def wait_to_be_stopped(settings, volumes, progress):
        for _ in range(round(WAIT_S / 0.01)):
            advance(progress, 0.5, "Waiting")
            time.sleep(0.01)

    told = []

    class Interrupted(RecordingObserver):
        def progressed(self, position, fraction, stage):
            told.append(stage)
            if stage == "Waiting" and told.count("Waiting") == 1:
                raise KeyboardInterrupt  # as it comes to the calling thread; a real one would end the tests' process

    started = time.monotonic()
    result = run_cohort(cases, settings, plan, Interrupted(), workers=[wait_to_be_stopped])
    assert time.monotonic() - started < WAIT_S
    assert result.stopped
    assert result.outcomes == ()
    assert written(plan) == []


def test_a_failing_case_is_told_and_the_rest_go_on(cases, settings, plan):
    cases[0].files[0][1].write_bytes(b"")
    runner = FakeRunner(failing("b.nii.gz", ValueError("a bug")))
    result = run_cohort(cases, settings, plan, RecordingObserver(), runner=runner)
    assert statuses(result) == [FAILED, FAILED, DONE]
    assert isinstance(result.outcomes[0].error, FileReadError)
    assert str(result.outcomes[1].error) == "a bug"
    assert written(plan) == ["c.nii.gz", "c.run.json", "volumes.csv"]
    assert listed(plan) == ["c"]


def test_running_out_of_memory_fails_the_case_only(cases, settings, plan):
    runner = FakeRunner(failing("b.nii.gz", OutOfMemoryError("too large")))
    result = run_cohort(cases, settings, plan, RecordingObserver(), runner=runner)
    assert statuses(result) == [DONE, FAILED, DONE]


@pytest.mark.parametrize("kind", [DeviceError, WeightsError, SettingsError])
def test_what_stops_every_case_stops_the_run_at_once(cases, settings, plan, kind):
    runner = FakeRunner(failing("b.nii.gz", kind("broken")))
    with pytest.raises(kind, match="broken"):
        run_cohort(cases, settings, plan, RecordingObserver(), runner=runner)
    assert len(runner.calls) == 2
    assert written(plan) == ["a.nii.gz", "a.run.json", "volumes.csv"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Cancelled()])
def test_stopping_keeps_finished_cases_and_leaves_nothing_of_the_one_under_way(cases, settings, plan, stop):
    observer = RecordingObserver()
    result = run_cohort(cases, settings, plan, observer, runner=FakeRunner(failing("b.nii.gz", stop)))
    assert result.stopped
    assert (result.total, statuses(result)) == (3, [DONE])
    assert written(plan) == ["a.nii.gz", "a.run.json", "volumes.csv"]
    assert observer.results == [result]


def test_old_outputs_of_a_case_that_fails_now_are_gone(cases, settings, plan):
    run_cohort(cases, settings, plan, RecordingObserver(), runner=FakeRunner())
    runner = FakeRunner(failing("b.nii.gz", InputError("no")))
    run_cohort(cases, settings, plan, RecordingObserver(), runner=runner)
    assert listed(plan) == ["a", "c"]
    assert "b.nii.gz" not in written(plan)


def test_a_cases_own_regions_come_before_the_settings(cases, settings, plan):
    own = Region("ijk", (0, 10, 0, 10, 0, 10))
    common = Region("ijk", (0, 20, 0, 20, 0, 20))
    runner = FakeRunner()
    cases = [Case("x", cases[0].files, regions=(own,)), cases[1]]

    run_cohort(cases, replace(settings, regions=(common,)), plan, RecordingObserver(), runner=runner)
    assert [call[0].regions for call in runner.calls] == [(own,), (common,)]


def test_channels_are_named_and_a_file_with_several_is_refused(cases, settings, plan, tmp_path):

    both = tmp_path / "in" / "both.mha"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 5, 5, 2), np.float32), isVector=True), str(both))
    files = [(("T1", cases[0].files[0][1]), ("FLAIR", cases[1].files[0][1])), (("T1", both),)]
    runner = FakeRunner()
    result = run_cohort(
        [Case(f"x{n}", f) for n, f in enumerate(files)], settings, plan, RecordingObserver(), runner=runner
    )
    assert [volume.channel_names for volume in runner.calls[0][1]] == [("T1",), ("FLAIR",)]
    assert isinstance(result.outcomes[1].error, ChannelError)
    assert "Expected one channel (T1) in" in str(result.outcomes[1].error)


class TestResume:
    """A second run over the same folder, after something has or has not changed."""

    @pytest.fixture
    def again(self, cases, settings, plan):
        """Runs all cases again and gives their statuses."""
        run_cohort(cases, settings, plan, RecordingObserver(), runner=FakeRunner())

        def run_again(settings=settings, plan=plan):
            result = run_cohort(cases, settings, plan, RecordingObserver(), resume=True, runner=FakeRunner())
            assert listed(plan) == ["a", "b", "c"]
            return statuses(result)

        return run_again

    def test_what_is_done_is_skipped_with_its_volumes(self, cases, settings, plan, again):
        plan.table.unlink()
        runner = FakeRunner()
        result = run_cohort(cases, settings, plan, RecordingObserver(), resume=True, runner=runner)
        assert statuses(result) == [SKIPPED] * 3
        assert runner.calls == []
        assert result.outcomes[0].rows[0]["voxels"] == BLOB_VOXELS
        assert listed(plan) == ["a", "b", "c"]

    def test_nothing_is_skipped_without_resume(self, cases, settings, plan, again):
        result = run_cohort(cases, settings, plan, RecordingObserver(), runner=FakeRunner())
        assert statuses(result) == [DONE] * 3

    @pytest.mark.parametrize("name", ["b.nii.gz", "b.run.json"])
    def test_a_case_whose_output_is_gone_is_done_again(self, plan, again, name):
        (plan.folder / name).unlink()
        assert again() == [SKIPPED, DONE, SKIPPED]

    def test_a_case_whose_output_was_cut_short_is_done_again(self, plan, again):
        path = plan.folder / "b.nii.gz"
        path.write_bytes(path.read_bytes()[:-20])
        assert again() == [SKIPPED, DONE, SKIPPED]

    def test_a_case_whose_input_changed_is_done_again(self, tmp_path, again):
        write_blob(tmp_path / "in" / "b.nii.gz", seed=9)
        os.utime(tmp_path / "in" / "b.nii.gz", ns=(1, 1))
        assert again() == [SKIPPED, DONE, SKIPPED]

    def test_other_settings_do_all_again(self, settings, again):

        assert again(settings=replace(settings, mirror=True)) == [DONE] * 3
        assert again(settings=replace(settings, mirror=True)) == [SKIPPED] * 3

    def test_another_format_does_all_again(self, plan, again):
        assert again(plan=OutputPlan(plan.folder, ("nii.gz", "nrrd"))) == [DONE] * 3

    def test_other_weights_do_all_again(self, tmp_path, again):
        with next((tmp_path / "models" / "blob" / "models").iterdir()).open("ab") as file:
            file.write(b"!")
        assert again() == [DONE] * 3

    def test_the_same_model_in_another_place_is_the_same_model(self, tmp_path, again):
        other = shutil.copytree(tmp_path / "models" / "blob", tmp_path / "copy")
        assert again(settings=SegmentationSettings(str(other))) == [SKIPPED] * 3

    def test_the_same_images_in_another_place_are_the_same_images(self, cases, settings, plan, again, tmp_path):
        moved = (tmp_path / "in").rename(tmp_path / "moved")
        elsewhere = cases_from_paths([moved / f"{case.id}.nii.gz" for case in cases])
        result = run_cohort(elsewhere, settings, plan, RecordingObserver(), resume=True, runner=FakeRunner())
        assert statuses(result) == [SKIPPED] * 3

    @pytest.mark.parametrize("damage", [{"input_files": None}, {"settings": None}, {"volumes": None}])
    def test_a_damaged_record_is_not_taken(self, plan, again, damage):
        path = plan.folder / "b.run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
        assert again() == [SKIPPED, DONE, SKIPPED]

    def test_an_input_that_is_gone_fails_its_case_only(self, cases, settings, plan, again, tmp_path):
        (tmp_path / "in" / "b.nii.gz").unlink()
        result = run_cohort(cases, settings, plan, RecordingObserver(), resume=True, runner=FakeRunner())
        assert statuses(result) == [SKIPPED, FAILED, SKIPPED]

    def test_a_record_of_another_case_is_not_taken(self, plan, again):
        record = json.loads((plan.folder / "a.run.json").read_text())
        (plan.folder / "b.run.json").write_text(json.dumps(record))
        assert again()[1] == DONE


def test_all_cases_together_never_fall_back():
    together = Together(3)
    assert together.reached(1, 0.5) == 0.5
    assert together.reached(0, 1.0) == 1.5
    assert together.reached(1, 0.25) == 1.5
