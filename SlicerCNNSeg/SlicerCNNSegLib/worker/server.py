"""The worker's own side: runs what it is asked for, one after the other, and keeps models warm meanwhile.

Messages come on standard input and go to what was standard output (``frames``); whatever libraries print
goes to the log. To the worker go

``run``: ``id``, ``settings``, ``volumes`` (``codec``), ``files`` (of ``memory``, the volumes' arrays);
``cancel``: ``id``.

From it come

``hello``: ``protocol``, ``pid``; once;
``begun``: ``id``; a run that has not begun when the worker ends can be given to another one;
``progress``: ``id``, ``fraction``, ``stage``, ``left`` (seconds, or null);
``result``: ``id``, ``result``, ``files``, ``memory`` (fields of ``peaks.Memory``, or null);
``error``: ``id``, ``error`` (a class of ``engine/errors.py``), ``message``.

It ends when nothing was asked of it for some time, when its client is gone (standard input ends), and after
memory ran out, because only the end of a process gives all of it back.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import Cancelled, CNNSegError, OutOfMemoryError, WorkerError
from ..engine.progress import Progress
from ..engine.run import run as engine_run
from ..engine.volume import Volume
from .codec import decoded, encoded
from .estimate import TimeLeft
from .frames import PREAMBLE, PROTOCOL, FrameReader, packed
from .logs import bound
from .memory import Arena
from .peaks import Meter

REPORT_INTERVAL_S = 0.1
"""Least time between two reports of the same stage: a panel redraws no faster, and the pipe stays empty."""

WATCH_INTERVAL_S = 1.0
"""How often the worker looks whether its client is alive and its log small."""

READ_BYTES = 1 << 16

Run = Callable[[Any, Sequence[Volume], Progress], Any]


@dataclass
class Job:
    """One run that was asked for."""

    id: int
    settings: Any
    volumes: list[Volume]
    cancelled: threading.Event = field(default_factory=threading.Event)


class Server:
    """Answers what comes over a pipe.

    Parameters
    ----------
    incoming, outgoing:
        File descriptors.
    arena:
        Where arrays lie.
    run:
        ``engine.run.run``, or a test's own.
    """

    def __init__(self, incoming: int, outgoing: int, arena: Arena, run: Run = engine_run) -> None:
        self._incoming, self._outgoing, self._arena, self._run = incoming, outgoing, arena, run
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._known: dict[int, Job] = {}
        self._sending = threading.Lock()

    def serve(self, idle_s: float) -> None:
        """Answer until nothing was asked for ``idle_s`` seconds, or memory ran out."""
        with self._sending:
            self._write(PREAMBLE + packed({"kind": "hello", "protocol": PROTOCOL, "pid": os.getpid()}))
        threading.Thread(target=self._listen, daemon=True).start()
        if self._run is engine_run:
            self._warm_up()
        with suppress(queue.Empty):
            while self._answer(self._jobs.get(timeout=idle_s)):
                pass

    def send(self, kind: str, **fields: object) -> None:
        """Write one message."""
        with self._sending:
            self._write(packed({"kind": kind, **fields}))

    def leave(self) -> None:
        """End at once, whatever is under way, and leave nothing behind: the client has gone."""
        self._arena.remove()
        os._exit(0)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._outgoing, data) :]
        except BrokenPipeError:
            self.leave()

    def _warm_up(self) -> None:
        """Load what every run needs while the first volume is still under way."""
        with suppress(ImportError):  # the run itself will say what is missing
            from ..engine import segment  # noqa: F401

    def _listen(self) -> None:
        reader = FrameReader()
        try:
            while data := os.read(self._incoming, READ_BYTES):
                for message in reader.feed(data):
                    self._take_in(message)
        except Exception:
            traceback.print_exc()
        self.leave()

    def _take_in(self, message: dict[str, Any]) -> None:
        job_id = int(message["id"])
        if message["kind"] == "cancel":
            job = self._known.get(job_id)  # it may just have ended
            if job is not None:
                job.cancelled.set()
            return
        try:
            arrays = [self._arena.take(where) for where in message["files"]]
            job = Job(job_id, decoded(message["settings"], arrays), list(decoded(message["volumes"], arrays)))
        except CNNSegError as error:
            self._send_error(job_id, error)
            return
        self._known[job_id] = job
        self._jobs.put(job)

    def _answer(self, job: Job) -> bool:
        """Do one job; gives whether the process is fit for another."""
        try:
            self.send("begun", id=job.id)
            if job.cancelled.is_set():
                raise Cancelled
            meter = Meter()
            result = self._run(job.settings, job.volumes, _Reports(self, job))
            arrays: list[Any] = []
            tree = encoded(result, arrays)
            memory = meter.read([*(volume.array for volume in job.volumes), *arrays])
            files = [self._arena.store(array) for array in arrays]
            self.send("result", id=job.id, result=tree, files=files, memory=asdict(memory) if memory else None)
        except CNNSegError as error:
            if error.__cause__ is not None:
                traceback.print_exc()
            self._send_error(job.id, error)
            return not isinstance(error, OutOfMemoryError)
        except Exception as error:
            traceback.print_exc()
            if is_out_of_memory(error):
                self._send_error(job.id, out_of_memory(error))
                return False
            self._send_error(job.id, WorkerError(unexpected(error)))
        finally:
            del self._known[job.id]
        return True

    def _send_error(self, job_id: int, error: CNNSegError) -> None:
        self.send("error", id=job_id, error=type(error).__name__, message=str(error))


class _Reports:
    """The ``Progress`` that a run is given: goes to the client, not too often."""

    def __init__(self, server: Server, job: Job) -> None:
        self._server, self._job = server, job
        self._left = TimeLeft()
        self._stage, self._next = "", 0.0

    def report(self, fraction: float, stage: str) -> None:
        """Tell the client, unless it was told just now."""
        left = self._left.update(fraction, stage)
        now = time.monotonic()
        if stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + REPORT_INTERVAL_S
        self._server.send("progress", id=self._job.id, fraction=float(fraction), stage=stage, left=left)

    def cancelled(self) -> bool:
        """Whether the client wants the run to stop."""
        return self._job.cancelled.is_set()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch, which has errors of its own for it, is not loaded to find out."""
    if isinstance(error, MemoryError) or "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ..engine.ladder import is_out_of_memory as torch_says

    return torch_says(error)


def out_of_memory(error: BaseException) -> OutOfMemoryError:
    """An error of the allocator in words."""
    said = str(error).strip().partition("\n")[0]
    return OutOfMemoryError(
        f"Memory ran out{f' ({said})' if said else ''}. Restrict the run to a region, close other programs, or use a "
        "machine with more memory."
    )


def unexpected(error: BaseException) -> str:
    """An error that nobody expected, on one line."""
    said = str(error).strip().partition("\n")[0]
    return f"The run failed with an unexpected {type(error).__name__}: {said or 'no reason given'}."


def main(options: dict[str, Any], run: Run = engine_run) -> None:
    """Be a worker until the end of the process.

    Parameters
    ----------
    options:
        ``folders`` (of the arena), ``client`` (process id), ``idle_s``.
    run:
        What runs a model.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # a print of any library, in Python or not, goes to the log
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client, which then cancels
    server = Server(incoming, outgoing, Arena([Path(folder) for folder in options["folders"]]), run)
    threading.Thread(target=_watch, args=(server, int(options["client"])), daemon=True).start()
    server.serve(float(options["idle_s"]))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # libraries' threads and caches need no farewell


def _watch(server: Server, client_pid: int) -> None:
    """Leave when the client has died while another process holds its end of the pipe; keep the log small."""
    import psutil

    try:
        client = psutil.Process(client_pid)
        while client.is_running() and client.status() != psutil.STATUS_ZOMBIE:
            bound(2)
            time.sleep(WATCH_INTERVAL_S)
    except psutil.NoSuchProcess:
        pass
    server.leave()
