"""When the worker, its client or both end: nothing of them stays, and the next run works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
import worker_behaviours
from worker_control import SETTINGS, begin, end_of, gone, wait_until

from SlicerCNNSegLib.engine.errors import (
    WorkerError,
)
from SlicerCNNSegLib.worker import client as client_module
from SlicerCNNSegLib.worker.client import WorkerClient
from SlicerCNNSegLib.worker.processes import child_environment


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
