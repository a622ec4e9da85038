"""Several workers for many cases: each runs one like ``engine.run.run``; what one had when it died is done anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..engine.errors import WorkerDiedError
from ..engine.progress import Progress
from ..engine.volume import Volume
from .client import WorkerClient
from .interface import Worker
from .processes import child_environment

TRIES = 3
"""After so many deaths in the same run it is the run's own fault: its image may be too large for the machine."""

THREADS = "OMP_NUM_THREADS"


@contextmanager
def crew(count: int) -> Iterator[list[Steadfast]]:
    """So many workers, which share the machine's cores; they end with the block."""
    threads = {THREADS: str(max(1, _cores() // count))}
    environment = threads | child_environment(os.environ)
    clients = [WorkerClient(environment=environment) for _ in range(count)]
    try:
        yield [Steadfast(client) for client in clients]
    finally:
        for client in clients:
            client.close()


class Steadfast:
    """A worker whose death does not end a run.

    Parameters
    ----------
    worker:
        Starts a process anew when it has none.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def __call__(self, settings: Any, volumes: Sequence[Volume], progress: Progress) -> Any:
        """Run one case.

        Raises
        ------
        CNNSegError
            What the run raised; ``WorkerDiedError`` when its process has died again and again.
        """
        for left in reversed(range(TRIES)):
            try:
                return self.worker.run(settings, volumes, progress)
            except WorkerDiedError:
                if not left:
                    raise
        raise AssertionError("the last try gives or raises")


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
