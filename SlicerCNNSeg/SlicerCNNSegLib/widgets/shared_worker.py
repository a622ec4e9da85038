"""The one worker of this Slicer: panel and Segment Editor effect share its process, and with it the warm model."""

from __future__ import annotations

import slicer

from ..worker.client import WorkerClient
from ..worker.processes import child_environment, child_python

_workers: list[WorkerClient] = []


def shared_worker() -> WorkerClient:
    """The worker; its process starts with the first run."""
    if not _workers:
        _workers.append(WorkerClient(child_python(), child_environment(slicer.util.startupEnvironment())))
    return _workers[0]


def release_worker() -> None:
    """End the worker's process, unless somebody's run is under way; the next run starts another."""
    if _workers and not _workers[0].running:
        _workers.pop().close()
