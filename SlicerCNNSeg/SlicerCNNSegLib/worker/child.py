"""The worker's process as its client sees it: pipes that never block, and an end that is always told.

On Windows pipes that don't block need Python 3.12, which Slicer 5.12 has.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..engine.errors import WorkerError
from .frames import PREAMBLE, FrameReader, packed
from .logs import new_log, tail
from .memory import Arena
from .processes import MODULE_FOLDER, end_process_tree

LAUNCH = (
    "import json, sys; sys.path[:0] = {folders!r}; from SlicerCNNSegLib.worker.server import main; "
    "main(json.loads(sys.argv[1]))"
)
"""Runs the worker from where the library lies, whatever Python's own search path is."""

IDLE_S = 600.0
"""A worker that nobody has used for ten minutes ends: it holds a model, and perhaps a graphics card's memory."""

READ_BYTES = 1 << 16
DYING_S = 1.0
"""How long a process may take to end after its pipe was closed, before it is killed."""

CLOSING_S = 3.0
"""How long closing waits for a killed process; the kernel needs a few ms, a swapping machine longer."""


class Child:
    """A process that was started, and the messages to and from it.

    Parameters
    ----------
    python, environment:
        What starts it.
    idle_s:
        It ends by itself when nothing was asked of it for so long.
    launch:
        What Python runs, with ``{folders}`` for the libraries' folders.

    Raises
    ------
    WorkerError
        The process cannot be started.
    """

    def __init__(self, python: str, environment: Mapping[str, str], idle_s: float, launch: str) -> None:
        self.log = new_log()
        self._log_start = 0
        self.arena = Arena.create()
        options = {"folders": [str(path) for path in self.arena.folders], "client": os.getpid(), "idle_s": idle_s}
        command = [python, "-c", launch.format(folders=[str(MODULE_FOLDER)]), json.dumps(options)]
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=dict(environment),
                    bufsize=0,
                    **_apart(),
                )
        except OSError as error:
            self.arena.remove()
            reason = error.strerror or type(error).__name__
            raise WorkerError(f"{python} could not be started ({reason}); is it installed?") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._reader = FrameReader(PREAMBLE)
        self._outgoing = bytearray()
        self._closed_at: float | None = None

    def send(self, kind: str, **fields: object) -> None:
        """Send a message, now or at the next ``receive``."""
        self._outgoing += packed({"kind": kind, **fields})
        self._flush()

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come; never waits.

        Raises
        ------
        WorkerError
            Something else has come.
        """
        self._flush()
        messages: list[dict[str, Any]] = []
        while self._closed_at is None:
            try:
                data = os.read(self._from, READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self._closed_at = time.monotonic()
            messages += self._reader.feed(data)
        return messages

    @property
    def ended(self) -> bool:
        """Whether the process has gone; it has if its pipe is closed, and is killed if it lingers."""
        if self._process.poll() is not None:
            return True
        if self._closed_at is not None and time.monotonic() > self._closed_at + DYING_S:
            _end_all(self._process.pid)
        return False

    @property
    def pid(self) -> int:
        """Id of the process that was started; in Slicer that of PythonSlicer, whose child is the worker."""
        return self._process.pid

    def wait(self, timeout_s: float) -> None:
        """Wait until something has come, at most so long."""
        if os.name == "nt" or self._closed_at is not None:  # Windows cannot wait for a pipe
            time.sleep(min(timeout_s, 0.01))
        else:
            select.select([self._from], [], [], timeout_s)

    def begin_details(self) -> None:
        """From here on the log is about the run that begins now."""
        with suppress(OSError):
            self._log_start = self.log.stat().st_size

    def details(self) -> str:
        """What was written to the log since, the last lines."""
        return tail(self.log, self._log_start)

    def why(self) -> str:
        """Why it has ended, in words."""
        status = self._process.returncode
        if status in (-signal.SIGTERM, None):
            return "The worker was ended from outside; run again."
        if status in (-9, 137):  # SIGKILL, which Windows has no name for; 137 is how a launcher reports it
            return (
                "The worker was killed, as a system does when memory runs out. Restrict the run to a region, close "
                "other programs, and run again."
            )
        if status < 0:
            return f"The worker crashed ({signal.Signals(-status).name}); run again, and report it if it comes back."
        return f"The worker ended unexpectedly (status {status}); run again, and report it if it comes back."

    def kill(self, *, wait: bool = False) -> None:
        """End it and all that it has started, and remove what lies in its arena."""
        if self._process.poll() is None:
            _end_all(self._process.pid)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self._closed_at = time.monotonic()
        self._outgoing.clear()
        self.arena.remove()
        if wait:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSING_S)

    def _flush(self) -> None:
        while self._outgoing:
            try:
                written = os.write(self._to, self._outgoing)
            except BlockingIOError:
                return
            except OSError:  # it has gone; ``ended`` tells
                self._outgoing.clear()
                return
            del self._outgoing[:written]


def _end_all(pid: int) -> None:
    """End a process that was started by ``_apart``, and all that it has started.

    Where it leads a group of its own, in one call: looking for its family takes 30 ms, and on a crowded machine 100.
    """
    if os.name == "nt":
        end_process_tree(pid)
        return
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _apart() -> dict[str, Any]:
    """So that Ctrl-C in the client's terminal is not for the worker too, and no window opens on Windows."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
    return {"start_new_session": True}
