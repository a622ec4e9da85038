"""A case on a worker of a Dask cluster: the side of ``cluster`` that runs there."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engine.errors import SettingsError
from ..engine.run import run
from ..engine.version import VERSION
from ..engine.volume import Volume

REPORT_INTERVAL_S = 0.5
"""Least time between two reports of the same stage: each passes through the scheduler."""

_stopped: set[str] = set()
"""The orders of clients whose user has asked to stop, as long as this process lives."""

_one_at_a_time = threading.Lock()
"""A process has one model on its device, and one set of cores, whatever number of threads Dask sees in it."""


@dataclass(frozen=True)
class Order:
    """What a worker has to know besides settings and volumes.

    Parameters
    ----------
    version:
        CNNSeg's, of the client.
    client:
        Tells apart the clients of a scheduler: reports go to the topic of this name, and ``stop`` takes it.
    number:
        Tells apart a client's cases.
    """

    version: str
    client: str
    number: int


def run_case(order: Order, settings: Any, volumes: Sequence[Volume]) -> Any:
    """Run one case in this process, after those that came before it.

    Raises
    ------
    SettingsError
        This worker has another version of CNNSeg than the client.
    CNNSegError
        What the run raises.
    """
    import distributed

    from ..engine.device import use_threads

    worker = distributed.get_worker()
    if order.version != VERSION:
        raise SettingsError(other_version(worker.address, VERSION, order.version))
    with _one_at_a_time:
        use_threads(worker.state.nthreads)  # Dask's nanny tells all libraries to use one
        return run(settings, volumes, _Telling(worker, order))


def stop(client: str) -> None:
    """End a client's runs in this process, as soon as they look."""
    _stopped.add(client)


def other_version(address: str, theirs: str, ours: str) -> str:
    """What is told of a worker with another version."""
    return f"The worker {address} has CNNSeg {theirs}, expected {ours}; install the same version everywhere."


@dataclass
class _Telling:
    """A run's progress, told to the client that waits for it."""

    worker: Any
    order: Order
    _stage: str = ""
    _next: float = field(default=0.0)

    def report(self, fraction: float, stage: str) -> None:
        now = time.monotonic()
        if stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + REPORT_INTERVAL_S
        self.worker.log_event(self.order.client, [self.order.number, fraction, stage])

    def cancelled(self) -> bool:
        return self.order.client in _stopped
