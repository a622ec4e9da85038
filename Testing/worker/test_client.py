"""The client with real worker processes whose runs do what a test says: results, faults, cancelling, ends."""

from __future__ import annotations

import errno
import os
import signal
import time

import numpy as np
import pytest
import worker_behaviours
from worker_control import SETTINGS, begin, end_of, gone, wait_until

from SlicerCNNSegLib.engine.errors import (
    Cancelled,
    InputError,
    OutOfMemoryError,
    SettingsError,
    WeightsError,
    WorkerError,
)
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.worker.client import as_error
from SlicerCNNSegLib.worker.interface import Ended


def test_a_result_is_the_one_that_the_run_gave(a_client, a_volume):
    result = a_client.run(SETTINGS, [a_volume])
    expected = worker_behaviours.answer(SETTINGS, [a_volume])
    np.testing.assert_array_equal(result.labelmap, expected.labelmap)
    assert result.labelmap.dtype == np.uint8
    np.testing.assert_array_equal(result.geometry.ijk_to_ras, a_volume.ijk_to_ras)
    assert result.labels == expected.labels
    assert result.compounds == expected.compounds
    assert result.structures == expected.structures
    assert result.record == expected.record
    result.labelmap[:] = 0  # it is the caller's own


def test_arrays_of_every_kind_arrive_as_they_are(a_client):
    from SlicerCNNSegLib.engine.volume import Volume

    base = np.arange(-1000, 1000).reshape(2, 10, 10, 10)
    arrays = [base.astype(kind) for kind in ("<i2", ">i2", "u2", "f8", "f2", "?", "i8")]
    arrays += [base[:, ::2, :, ::-1], np.moveaxis(base, 0, -1), base[:1, :1]]
    for array in arrays:
        volume = Volume(array, np.eye(4))
        result = a_client.run(SETTINGS, [volume])
        np.testing.assert_array_equal(result.labelmap, np.where(array[0] < 0, 1, 2))


def test_the_second_run_finds_the_worker_warm(a_client, a_volume, behaviour):
    a_client.run(SETTINGS, [a_volume])
    first = behaviour.notes["pid"]
    a_client.run(SETTINGS, [a_volume])
    assert behaviour.notes["pid"] == first
    assert a_client.pid == first


def test_a_second_start_is_refused(a_client, a_volume, behaviour):
    behaviour("windows")
    begin(a_client, a_volume, behaviour)
    with pytest.raises(InputError, match="A run is under way; wait for its end or cancel it"):
        a_client.start(SETTINGS, [a_volume])


def test_progress_comes_with_stage_and_time_left(a_client, a_volume, behaviour):
    behaviour("windows")
    client_events = begin(a_client, a_volume, behaviour)
    assert client_events[0].stage == "Handing over the volume"
    assert client_events[1].stage == "Starting the worker"
    seen = []
    wait_until(lambda: seen.extend(a_client.poll()) or any(event.seconds_left for event in seen))
    known = next(event for event in seen if event.seconds_left)
    whole = worker_behaviours.WINDOWS * worker_behaviours.WINDOW_S
    assert known.seconds_left > whole * 2 * (1 - known.fraction) * 0.9  # sleeping never takes less
    assert known.stage == "Running the network"
    times = [event.fraction for event in seen]
    assert times == sorted(times)


def test_nothing_that_is_printed_gets_between_the_messages(a_client, a_volume, behaviour):
    behaviour("noise")
    assert a_client.run(SETTINGS, [a_volume]).record.model_id == "tiny"
    behaviour("corrupt")
    with pytest.raises(WeightsError):
        a_client.run(SETTINGS, [a_volume])
    a_client.start(SETTINGS, [a_volume])
    log = end_of(a_client).log.read_text(encoding="utf-8")
    for text in ("a library's print", "C code writes", "a child prints", "the first stdout"):
        assert text in log


def test_an_error_keeps_its_class_and_text(a_client, a_volume, behaviour):
    behaviour("corrupt")
    with pytest.raises(WeightsError, match=r"^The weights model.safetensors cannot be read \(HeaderTooLarge\)"):
        a_client.run(SETTINGS, [a_volume])
    behaviour("done")
    assert a_client.run(SETTINGS, [a_volume]).structures[0].name == "Both"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("memory", OutOfMemoryError, r"^Memory ran out \(Unable to allocate 3.00 TiB for an array\)\. Restrict"),
        ("torch memory", OutOfMemoryError, r"^Memory ran out \(.*alloc.*\)\. Restrict the run to a region"),
        ("unexpected", WorkerError, r"^The run failed with an unexpected ZeroDivisionError: division by zero\."),
        ("killed", WorkerError, "^The worker was killed, as a system does when memory runs out"),
        ("crash", WorkerError, r"^The worker crashed \(SIGSEGV\); run again"),
        ("exit", WorkerError, r"^The worker ended unexpectedly \(status 3\); run again"),
    ],
)
def test_a_fault_is_one_message_with_details_and_the_next_run_works(
    a_client, a_volume, behaviour, arenas, name, kind, message
):
    behaviour(name)
    with pytest.raises(kind, match=message) as caught:
        a_client.run(SETTINGS, [a_volume])
    assert "\n" not in str(caught.value)
    (details,) = caught.value.__notes__
    assert "something of torch's" in details
    assert details.splitlines()[-1].startswith("Log file: ")
    if name in ("memory", "unexpected"):
        assert "Traceback (most recent call last)" in details
    if name == "crash":
        assert "Fatal Python error: Segmentation fault" in details
    faulty = behaviour.notes["pid"]
    behaviour("done")
    assert a_client.run(SETTINGS, [a_volume]).labels == worker_behaviours.LABELS
    # only the end of a process gives all memory back; what else a run raises is no reason to load models again
    assert (behaviour.notes["pid"] == faulty) == (name == "unexpected")
    assert len(arenas()) <= 2
    assert [path for arena in arenas() for path in arena.iterdir() if path.name != "lock"] == []


def test_a_kill_from_outside_in_mid_run(a_client, a_volume, behaviour, arenas):
    behaviour("hang")
    begin(a_client, a_volume, behaviour)
    os.kill(behaviour.notes["pid"], signal.SIGTERM)
    end = end_of(a_client)
    assert str(end.error) == "The worker was ended from outside; run again."
    assert arenas() == []
    os.kill(behaviour.notes["child"], signal.SIGKILL)


def test_no_room_for_the_volume_is_said_and_the_next_run_works(a_client, a_volume, monkeypatch):
    def full(file, plane):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("SlicerCNNSegLib.worker.memory._write", full)
        with pytest.raises(WorkerError, match=r"could not be handed to the worker \(No space left on device\); close"):
            a_client.run(SETTINGS, [a_volume])
    assert a_client.run(SETTINGS, [a_volume]).labels == worker_behaviours.LABELS


def test_a_worker_that_cannot_be_started_again_is_said(a_client, a_volume, behaviour, monkeypatch):
    a_client.run(SETTINGS, [a_volume])
    first = behaviour.notes["pid"]
    os.kill(first, signal.SIGSTOP)
    a_client.start(SETTINGS, [a_volume])
    a_client.poll()
    monkeypatch.setattr(a_client, "_python", "/nowhere/python")
    os.kill(first, signal.SIGKILL)
    assert str(end_of(a_client).error).startswith("/nowhere/python could not be started")
    assert not a_client.running


def test_a_kill_while_nothing_runs_is_not_noticed(a_client, a_volume, behaviour):
    a_client.run(SETTINGS, [a_volume])
    first = behaviour.notes["pid"]
    os.kill(first, signal.SIGKILL)
    a_client.run(SETTINGS, [a_volume])
    assert behaviour.notes["pid"] != first


def test_cancel_is_noticed_at_the_next_window_and_the_worker_stays(a_client, a_volume, behaviour):
    behaviour("windows")
    begin(a_client, a_volume, behaviour)
    started = time.monotonic()
    a_client.cancel()
    a_client.cancel()
    assert isinstance(end_of(a_client, 5).error, Cancelled)
    assert time.monotonic() - started < 0.5
    pid = behaviour.notes["pid"]
    behaviour("done")
    a_client.run(SETTINGS, [a_volume])
    assert behaviour.notes["pid"] == pid


def test_cancel_of_a_run_that_notices_nothing_replaces_the_worker(a_client, a_volume, behaviour):
    behaviour("hang")
    begin(a_client, a_volume, behaviour)
    notes = behaviour.notes
    started = time.monotonic()
    a_client.cancel()
    assert isinstance(end_of(a_client, 5).error, Cancelled)
    assert time.monotonic() - started < 0.5
    wait_until(lambda: gone(notes["pid"], notes["child"]), 10)
    replaced = a_client.pid
    assert replaced not in (0, notes["pid"])
    behaviour("done")
    a_client.run(SETTINGS, [a_volume])
    assert behaviour.notes["pid"] == replaced


def test_cancel_before_the_volume_has_been_handed_over(a_client, a_volume, behaviour, arenas):
    a_client.start(SETTINGS, [a_volume])
    a_client.cancel()
    assert isinstance(a_client.poll()[-1].error, Cancelled)
    assert not a_client.running
    assert [path for arena in arenas() for path in arena.iterdir() if path.name != "lock"] == []
    a_client.run(SETTINGS, [a_volume])
    assert behaviour.begun


def test_cancel_at_any_moment_ends_the_run_once(a_client, a_volume, behaviour):
    """At moments over the whole of a run, whatever is under way there: it ends once, and the next run works."""
    a_client.run(SETTINGS, [a_volume])
    for moment in np.linspace(0, 0.06, 25):
        a_client.start(SETTINGS, [a_volume])
        events, end = [], time.monotonic() + moment
        while time.monotonic() < end:
            events += a_client.poll()
        a_client.cancel()
        wait_until(lambda events=events: events.extend(a_client.poll()) or not a_client.running, 5)
        ends = [event for event in events if isinstance(event, Ended)]
        assert len(ends) == 1
        assert ends[0].result is not None or isinstance(ends[0].error, Cancelled)
    assert a_client.run(SETTINGS, [a_volume]).labels == worker_behaviours.LABELS


def test_a_progress_that_is_cancelled_ends_a_blocking_run(a_client, a_volume, behaviour):
    behaviour("windows")
    progress = RecordingProgress(cancel_at=0.5)
    with pytest.raises(Cancelled):
        a_client.run(SETTINGS, [a_volume], progress)
    assert progress.reports[0] == (0.0, "Handing over the volume")
    assert not a_client.running


def test_an_error_of_the_progress_ends_the_run_too(a_client, a_volume, behaviour):
    class Broken(RecordingProgress):
        def report(self, fraction, stage):
            if fraction >= 0.5:
                raise KeyboardInterrupt

    behaviour("windows")
    with pytest.raises(KeyboardInterrupt):
        a_client.run(SETTINGS, [a_volume], Broken())
    assert not a_client.running
    behaviour("done")
    assert a_client.run(SETTINGS, [a_volume]).labels == worker_behaviours.LABELS


def test_errors_come_back_as_what_they_were():
    error = as_error("SettingsError", "Wrong.")
    assert type(error) is SettingsError
    assert str(error) == "Wrong."
    assert type(as_error("Cancelled", "Stopped.")) is Cancelled
    for name in ("Exception", "SystemExit", "__builtins__", "annotations", "Nothing"):
        assert type(as_error(name, "x")) is WorkerError
        assert str(as_error(name, "x")) == f"{name}: x"
