"""The workers of a Dask cluster, beside those of ``crew``: each case is run by one of them, and written here.

A case's images go through the scheduler to a worker, and its result comes back: nothing but this process writes, so a
case is written once, also where a worker that was given up for lost lives on. Dask gives what a lost worker had to
another one. Whoever may talk to a scheduler may run anything on its workers: it belongs into a network of one's own.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from ..engine.catalogue import find_model
from ..engine.errors import Cancelled, DeviceError, ModelError, SettingsError, WorkerDiedError
from ..engine.progress import Progress
from ..engine.settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from ..engine.version import VERSION
from ..engine.volume import Volume
from .cluster_task import Order, other_version, run_case, stop

TaskSettings = SegmentationSettings | ClassificationSettings | DetectionSettings

CONNECT_S = 10.0
"""How long a scheduler may take to answer."""

WAIT_S = 0.1
"""How long a wish to stop, or a report, may go unnoticed."""

SCHEDULER_FILE = ".json"
QUEUED = "Waiting for a worker of the cluster"


@contextmanager
def cluster(address: str, cases_at_once: int, settings: TaskSettings) -> Iterator[list[OnCluster]]:
    """Runners for so many cases at the same time; the scheduler is let go with the block, and goes on.

    Parameters
    ----------
    address:
        Of the scheduler (``tcp://HOST:PORT``), or the file that ``dask scheduler --scheduler-file`` writes.
    cases_at_once:
        0 takes the number of workers that the scheduler has now.
    settings:
        Those that the cases are going to have, but for regions.

    Raises
    ------
    SettingsError
        Dask is not installed, the scheduler does not answer or has no workers, or one of them has no CNNSeg or
        another version of it.
    """
    client = _client(address)
    try:
        there = _checked(client, address)
        if not (cases_at_once or there):
            raise SettingsError(
                f"The scheduler at {address} has no workers yet; start them, or say with --workers how many cases are "
                "to run at the same time."
            )
        link = _Link(client, address, find_model(settings.model).sha256)
        yield [OnCluster(link)] * (cases_at_once or there)
    finally:
        client.close(timeout=CONNECT_S)


class OnCluster:
    """Runs cases like ``engine.run.run``, on whichever worker is free; may be called in several threads at once.

    Parameters
    ----------
    link:
        The connection to the scheduler.
    task:
        What a worker runs; a test passes its own.
    """

    def __init__(self, link: _Link, task: Callable[..., Any] = run_case) -> None:
        self._link, self._task = link, task

    def __call__(self, settings: Any, volumes: Sequence[Volume], progress: Progress) -> Any:
        """Run one case.

        Raises
        ------
        CNNSegError
            What the run raised.
        Cancelled
            It was to stop; the workers stop as soon as they look.
        WorkerDiedError
            Several workers have died of this case.
        DeviceError
            The scheduler is gone.
        ModelError
            A worker has other weights under the model's name.
        """
        link, number = self._link, self._link.next_number()
        order = Order(VERSION, link.name, number)
        future, ended = link.submit(self._task, order, _portable(settings), tuple(volumes))
        while not ended.wait(WAIT_S):
            progress.report(*link.heard.get(number, (0.0, QUEUED)))
            if progress.cancelled():
                link.stop()
                future.cancel()
                raise Cancelled
        result = link.result(future)
        if result.record.model_sha256 != link.model_sha256:
            raise ModelError(
                f"A worker has other weights of the model {settings.model} (SHA-256 {result.record.model_sha256[:12]}, "
                f"expected {link.model_sha256[:12]}); install the same model everywhere."
            )
        return result


class _Link:
    """What the runners of one client share: its connection, and what is heard over it."""

    def __init__(self, client: Any, address: str, model_sha256: str) -> None:
        self.client, self.address, self.model_sha256 = client, address, model_sha256
        self.name = uuid.uuid4().hex[:12]
        self.heard: dict[int, tuple[float, str]] = {}
        self._numbers = count()
        self._stopping = threading.Lock()
        self._stopped = False
        client.subscribe_topic(self.name, self._hear)

    def next_number(self) -> int:
        """Of a case."""
        return next(self._numbers)

    def submit(self, task: Callable[..., Any], order: Order, *arguments: object) -> tuple[Any, threading.Event]:
        """A future of the task on some worker, and what is set when it has ended."""
        future = self.client.submit(task, order, *arguments, key=f"cnnseg-{order.client}-{order.number}", pure=False)
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        return future, ended

    def result(self, future: Any) -> Any:
        """What the task gave, or raise what it raised."""
        import distributed

        try:
            return future.result()
        except distributed.KilledWorker as error:
            raise WorkerDiedError(
                f"{error.allowed_failures + 1} workers of the cluster died one after the other while they had this "
                "case, as they do when memory runs out; give them more, or restrict the run to a region."
            ) from error
        except CancelledError as error:
            raise DeviceError(
                f"The Dask scheduler at {self.address} is gone; what is done stays, --resume goes on from there."
            ) from error
        except ModuleNotFoundError as error:
            raise SettingsError(_no_cnnseg("A worker", error)) from error

    def stop(self) -> None:
        """End all runs of this client, wherever they are."""
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                with suppress(OSError):  # a scheduler that is gone has no runs any more
                    self.client.run(stop, self.name, on_error="ignore")

    def _hear(self, event: tuple[float, Any]) -> None:
        number, fraction, stage = event[1]
        self.heard[int(number)] = (float(fraction), str(stage))


def _client(address: str) -> Any:
    """A client of the scheduler there."""
    try:
        import distributed
    except ImportError as error:
        raise SettingsError(
            f"--engine dask needs the package distributed ({error}); install it with: pip install 'cnnseg[dask]'"
        ) from error
    place = {"scheduler_file": address} if address.endswith(SCHEDULER_FILE) else {"address": address}
    if "scheduler_file" in place and not Path(address).is_file():
        raise SettingsError(
            f"There is no file {address}; expected the one that dask scheduler --scheduler-file writes."
        )
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told here, in one line
    try:
        return distributed.Client(**place, timeout=CONNECT_S, set_as_default=False, name="cnnseg")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"No Dask scheduler answers at {address} ({reason}); expected an address like tcp://HOST:8786 of one that "
            "runs, and the same version of distributed there."
        ) from error


def _checked(client: Any, address: str) -> int:
    """How many workers the scheduler has, all of which have this version of CNNSeg."""

    def version_there() -> str:  # a function inside a function travels as what it is, so that no worker must know it
        from importlib import import_module

        return str(import_module("SlicerCNNSegLib.engine.version").VERSION)

    try:
        answers = client.run(version_there, on_error="return")
    except OSError as error:
        raise SettingsError(f"The workers of the scheduler at {address} do not answer ({error}).") from error
    for worker, answer in answers.items():
        if isinstance(answer, Exception):
            raise SettingsError(_no_cnnseg(f"The worker {worker}", answer))
        if answer != VERSION:
            raise SettingsError(other_version(worker, answer, VERSION))
    return len(answers)


def _no_cnnseg(who: str, error: Exception) -> str:
    return f"{who} cannot load CNNSeg {VERSION} ({error}); install the same version in the environment of the workers."


def _portable(settings: Any) -> Any:
    """The settings for a process in another folder: models that are named by a folder, by its whole path."""
    names = [name for name in ("model", "malignancy") if hasattr(settings, name)]
    folders = {name: Path(getattr(settings, name)) for name in names}
    return replace(settings, **{n: str(path.absolute()) for n, path in folders.items() if (path / "configs").is_dir()})
