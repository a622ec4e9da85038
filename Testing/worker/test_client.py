"""The client with real worker processes whose runs do what a test says: results, faults, cancelling, ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import worker_behaviours
from worker_control import gone, wait_until

from SlicerCNNSegLib.engine.errors import (
    Cancelled,
    InputError,
    OutOfMemoryError,
    SettingsError,
    WeightsError,
    WorkerError,
)
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.worker import client as client_module
from SlicerCNNSegLib.worker.client import WorkerClient, as_error
from SlicerCNNSegLib.worker.interface import Ended
from SlicerCNNSegLib.worker.processes import child_environment

SETTINGS = SegmentationSettings("tiny", regions=(Region("ras", (-1, 1, -1 / 3, 1, 0, 2), "left"),), overlap=0.1)


def begin(client, volume, behaviour):
    """Start a run and wait until it has begun in the worker."""
    client.start(SETTINGS, [volume])
    events = []

    def poll():
        events.extend(client.poll())
        return behaviour.begun

    wait_until(poll)
    return events


def end_of(client, timeout_s=60.0):
    """Poll until the run's end."""
    found = []

    def poll():
        found.extend(event for event in client.poll() if isinstance(event, Ended))
        return found

    wait_until(poll, timeout_s)
    assert len(found) == 1
    return found[0]


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


def test_closing_ends_a_run_with_all_its_processes(a_client, a_volume, behaviour, arenas):
    behaviour("hang")
    begin(a_client, a_volume, behaviour)
    notes = behaviour.notes
    a_client.close()
    wait_until(lambda: gone(notes["pid"], notes["child"]), 5)
    assert not a_client.running
    assert a_client.poll() == []
    assert arenas() == []
    behaviour("done")
    a_client.run(SETTINGS, [a_volume])  # a closed client can be used again


def test_an_idle_worker_ends_and_the_next_run_starts_another(behaviour, a_volume, arenas):
    environment = {**child_environment(os.environ), **behaviour.variables}
    with WorkerClient(environment=environment, launch=worker_behaviours.LAUNCH, idle_s=0.3) as client:
        client.run(SETTINGS, [a_volume])
        first = behaviour.notes["pid"]
        wait_until(lambda: client.pid == 0, 10)
        client.run(SETTINGS, [a_volume])
        assert behaviour.notes["pid"] != first
    assert arenas() == []


def test_a_run_that_meets_a_worker_on_its_way_out_is_given_to_the_next(a_client, a_volume, behaviour):
    a_client.run(SETTINGS, [a_volume])
    first = behaviour.notes["pid"]
    os.kill(first, signal.SIGSTOP)
    behaviour("done")
    a_client.start(SETTINGS, [a_volume])
    a_client.poll()
    assert not behaviour.begun
    os.kill(first, signal.SIGKILL)
    assert end_of(a_client).result is not None
    assert behaviour.notes["pid"] != first


CLIENT = """
import os, sys, time
sys.path[:0] = {paths!r}
import numpy as np
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.worker import memory
memory.PREFIX = {prefix!r}
from SlicerCNNSegLib.worker.client import WorkerClient
import worker_behaviours
client = WorkerClient(environment=dict(os.environ), launch=worker_behaviours.LAUNCH)
client.start(SegmentationSettings("tiny"), [Volume(np.zeros((1, 9, 9, 9)), np.eye(4))])
while True:
    client.poll()
    time.sleep(0.01)
"""


def start_another_client(request, behaviour, prefix):
    root = request.config.rootpath
    paths = [str(root / name) for name in ("SlicerCNNSeg", "Testing")]
    environment = {**os.environ, **behaviour.variables}
    return subprocess.Popen([sys.executable, "-c", CLIENT.format(paths=paths, prefix=prefix)], env=environment)


def test_the_worker_ends_when_its_client_is_killed(request, behaviour, arenas):
    from SlicerCNNSegLib.worker import memory

    behaviour("hang")
    with start_another_client(request, behaviour, memory.PREFIX) as client:
        wait_until(lambda: behaviour.begun)
        worker = behaviour.notes
        assert arenas()
        client.kill()
    wait_until(lambda: gone(worker["pid"]) and not arenas(), 10)
    os.kill(worker["child"], signal.SIGKILL)


def test_what_two_killed_processes_leave_is_removed_by_the_next(request, behaviour, arenas):
    from SlicerCNNSegLib.worker import memory

    behaviour("hang")
    with start_another_client(request, behaviour, memory.PREFIX) as client:
        wait_until(lambda: behaviour.begun)
        worker = behaviour.notes
        psutil.Process(client.pid).suspend()  # or it would clear up after its worker
        memory.remove_abandoned(memory.MEMORY)
        assert arenas(), "what belongs to the living was removed"
        os.kill(worker["pid"], signal.SIGKILL)
        client.kill()
        client.wait()
    assert arenas()
    memory.Arena.create().remove()
    assert arenas() == []
    os.kill(worker["child"], signal.SIGKILL)


def test_a_python_that_is_not_there(a_volume, arenas):
    with pytest.raises(
        WorkerError, match=r"^/nowhere/python could not be started \(No such file or directory\); is it"
    ):
        WorkerClient("/nowhere/python").run(SETTINGS, [a_volume])
    assert arenas() == []


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (
            "packed({'kind': 'hello', 'protocol': 99})",
            "Expected a worker that speaks protocol 1, got 99; restart Slicer",
        ),
        (r"b'\x00\x00\x00\x03{no'", "Expected JSON between worker and client, got b'{no'"),
        (r"b'\x00\x00\x00\x02[]'", "Expected a message with its kind"),
        (r"b'\xff\xff\xff\xff'", "Expected a message of at most 67108864 bytes .*, got 4294967295"),
    ],
)
def test_a_worker_of_another_language_is_ended(a_volume, arenas, says, message):
    launch = (
        "import sys, time; sys.path[:0] = {folders!r}; from SlicerCNNSegLib.worker.frames import PREAMBLE, packed; "
        "sys.stdout.buffer.write(b'a launcher prints' + PREAMBLE + "
        + says.replace("{", "{{").replace("}", "}}")
        + "); "
        "sys.stdout.flush(); time.sleep(600)"
    )
    with WorkerClient(launch=launch) as client:
        with pytest.raises(WorkerError, match=message):
            client.run(SETTINGS, [a_volume])
        assert client.pid == 0
    assert arenas() == []


def test_a_worker_that_says_nothing_is_ended(a_volume, monkeypatch, arenas):
    monkeypatch.setattr(client_module, "START_S", 0.3)
    with (
        WorkerClient(launch="import time; time.sleep(600)") as client,
        pytest.raises(WorkerError, match="The worker said nothing for 0 s"),
    ):
        client.run(SETTINGS, [a_volume])
    assert arenas() == []


def test_errors_come_back_as_what_they_were():
    error = as_error("SettingsError", "Wrong.")
    assert type(error) is SettingsError
    assert str(error) == "Wrong."
    assert type(as_error("Cancelled", "Stopped.")) is Cancelled
    for name in ("Exception", "SystemExit", "__builtins__", "annotations", "Nothing"):
        assert type(as_error(name, "x")) is WorkerError
        assert str(as_error(name, "x")) == f"{name}: x"
