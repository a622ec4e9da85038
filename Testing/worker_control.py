"""Tells workers whose runs are ``worker_behaviours`` what to do, and hears what they have noted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import worker_behaviours

from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.worker.client import WorkerClient
from SlicerCNNSegLib.worker.interface import Ended, Event

SETTINGS = SegmentationSettings("tiny", regions=(Region("ras", (-1, 1, -1 / 3, 1, 0, 2), "left"),), overlap=0.1)


class Behaviour:
    """What runs do from now on, and what they have noted.

    ``variables`` are for the worker's environment.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._notes = folder / "behaviour", folder / "notes.json"
        self("done")
        self.variables = {
            "FAKE_BEHAVIOUR": str(self._file),
            "FAKE_NOTES": str(self._notes),
            "OMP_NUM_THREADS": "1",
        }

    def __call__(self, name: str) -> None:
        """Behave like one of ``worker_behaviours.ACTS``, or give a result at once (``done``)."""
        assert name == "done" or name in worker_behaviours.ACTS
        self._notes.unlink(missing_ok=True)
        self._file.write_text(name, encoding="utf-8")

    @property
    def begun(self) -> bool:
        """Whether a run has begun."""
        return self._notes.is_file()

    @property
    def notes(self) -> dict[str, Any]:
        """Of the run that has begun: ``settings``, ``pid``, ``child`` (a process that it has started, or 0)."""
        return json.loads(self._notes.read_text(encoding="utf-8"))


def gone(*pids: int) -> bool:
    """Whether none of the processes is at work any more."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until the condition holds; it must within the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"the condition did not hold within {timeout_s} s"
        time.sleep(0.005)


def begin(client: WorkerClient, volume: Volume, behaviour: Behaviour) -> list[Event]:
    """Start a run and wait until it has begun in the worker."""
    client.start(SETTINGS, [volume])
    events = []

    def poll():
        events.extend(client.poll())
        return behaviour.begun

    wait_until(poll)
    return events


def end_of(client: WorkerClient, timeout_s: float = 60.0) -> Ended:
    """Poll until the run's end."""
    found = []

    def poll():
        found.extend(event for event in client.poll() if isinstance(event, Ended))
        return found

    wait_until(poll, timeout_s)
    assert len(found) == 1
    return found[0]
