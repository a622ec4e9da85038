"""The client: starts the worker when it is first needed, and makes one clear message of whatever befalls it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..engine import errors
from ..engine.errors import Cancelled, CNNSegError, InputError, WorkerDiedError, WorkerError
from ..engine.volume import Volume
from .child import IDLE_S, LAUNCH, Child
from .codec import decoded, encoded
from .frames import PROTOCOL
from .interface import HANDING_OVER, STARTING, Ended, Event, Progressed, Settings, Worker
from .peaks import Memory
from .processes import child_environment, child_python

GRACE_S = 0.3
"""How long a run may take to notice that it is cancelled; then its process is replaced. A window on a graphics
card takes some 20 ms, on a slow CPU seconds."""

SPARE_S = 0.15
"""So long before, the process that will take its place is started: 20 ms on a free machine, 100 ms on a crowded one,
which would come on top of the grace."""

START_S = 180.0
"""How long a process may take to say its first word: a cold disk and a virus scanner take up to a minute."""

TICK_S = 0.02
"""Work of one ``poll``: a GUI stays smooth."""


@dataclass
class _Run:
    """The run under way."""

    id: int
    settings: Any
    volumes: Any
    upload: Iterator[None]
    files: list[dict[str, Any]] = field(default_factory=list)
    uploaded: bool = False
    sent: bool = False
    begun: bool = False
    repeated: bool = False
    cancel_by: float | None = None


class WorkerClient(Worker):
    """A worker in a process of its own.

    Parameters
    ----------
    python, environment:
        What starts the process; by default this Python, without what leads to another one.
    idle_s:
        The process ends when nothing was asked of it for so long.
    launch:
        What Python runs; a test passes its own.
    """

    def __init__(
        self,
        python: str = "",
        environment: Mapping[str, str] | None = None,
        *,
        idle_s: float = IDLE_S,
        launch: str = "",
    ) -> None:
        self._python = python or child_python()
        self._environment = child_environment(os.environ) if environment is None else dict(environment)
        self._idle_s, self._launch = idle_s, launch or LAUNCH
        self._child: Child | None = None
        self._spare: Child | None = None
        self._greeted = False
        self._started_at = 0.0
        self._run: _Run | None = None
        self._count = 0
        self._events: list[Event] = []

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether a run is under way, or its end was not told yet."""
        return self._run is not None or bool(self._events)

    @property
    def pid(self) -> int:
        """Id of the worker's process; 0 when there is none."""
        return self._child.pid if self._child is not None and not self._child.ended else 0

    def start(self, settings: Settings, volumes: Sequence[Volume]) -> None:
        """Begin a run and return at once; see ``Worker``.

        Raises
        ------
        InputError
            A run is under way.
        WorkerError
            The process cannot be started.
        """
        if self.running:
            raise InputError("A run is under way; wait for its end or cancel it.")
        self._begin(settings, tuple(volumes))

    def poll(self) -> list[Event]:
        """What has happened since the last call; see ``Worker``."""
        try:
            self._work()
        except CNNSegError as error:  # what came over the pipe was no message, or no result
            self._fail(error)
        events, self._events = self._events, []
        return events

    def cancel(self) -> None:
        """Ask the run to stop; its end comes within half a second. Does nothing when none is under way."""
        run = self._run
        if run is None or run.cancel_by is not None:
            return
        if not run.sent:
            self._end(Ended(error=Cancelled()))
            return
        assert self._child is not None
        run.cancel_by = time.monotonic() + GRACE_S
        self._child.send("cancel", id=run.id)

    def close(self) -> None:
        """End the process with whatever is under way; nothing is told any more."""
        self._give_up_upload()
        self._run = None
        self._events.clear()
        self._drop_spare()
        if self._child is not None:
            self._child.kill(wait=True)
            self._child = None

    def wait(self, timeout_s: float) -> None:
        """Wait until there may be something to poll, at most so long."""
        run = self._run
        if self._child is not None and (run is None or run.uploaded) and not self._events:
            self._child.wait(timeout_s)

    def _begin(self, settings: Any, volumes: Any, *, repeated: bool = False) -> None:
        self._ensure_child()
        assert self._child is not None
        self._child.begin_details()
        self._count += 1
        self._run = run = _Run(self._count, settings, volumes, iter(()), repeated=repeated)
        run.upload = self._uploading(run, self._child)
        self._events.append(Progressed(0.0, HANDING_OVER))

    def _ensure_child(self) -> None:
        """Start the process, unless there is one; one that ended when idle is replaced."""
        if self._child is not None and self._child.ended:
            self._child.kill()
            self._child = None
        if self._child is None:
            self._greeted, self._started_at = False, time.monotonic()
            self._child = Child(self._python, self._environment, self._idle_s, self._launch)

    def _uploading(self, run: _Run, child: Child) -> Iterator[None]:
        arrays: list[Any] = []
        settings, volumes = encoded(run.settings, arrays), encoded(run.volumes, arrays)
        for array in arrays:
            run.files.append((yield from child.arena.writing(array)))
        run.uploaded = True
        if not self._greeted:
            self._events.append(Progressed(0.0, STARTING))
        while not self._greeted:
            yield
        child.send("run", id=run.id, settings=settings, volumes=volumes, files=run.files)
        run.sent = True

    def _work(self) -> None:
        """One tick: hand over a little, take what has come, look whether all is well."""
        child = self._child
        if child is None:
            return
        for message in child.receive():
            self._hear(child, message)
        self._hand_over()
        if self._child is not child:
            return
        if child.ended:
            for message in child.receive():
                self._hear(child, message)
            self._bury()
        elif self._run is not None:
            self._look_at_the_clock(self._run)

    def _hand_over(self) -> None:
        run, end = self._run, time.monotonic() + TICK_S
        if run is None or run.sent:
            return
        try:
            for _ in run.upload:
                if run.uploaded or time.monotonic() > end:
                    return
        except OSError as error:
            reason = error.strerror or type(error).__name__
            message = f"The volume could not be handed to the worker ({reason}); close other programs and run again."
            self._end(Ended(error=WorkerError(message)))

    def _look_at_the_clock(self, run: _Run) -> None:
        now = time.monotonic()
        if run.cancel_by is not None and now > run.cancel_by - SPARE_S:
            self._look_at_the_spare()
            if now > run.cancel_by:
                self._replace()
                self._end(Ended(error=Cancelled()))
        elif not self._greeted and now > self._started_at + START_S:
            self._fail(WorkerError(f"The worker said nothing for {START_S:.0f} s; run again, and look into its log."))

    def _hear(self, child: Child, message: Mapping[str, Any]) -> None:
        run = self._run
        if message["kind"] == "hello":
            if message["protocol"] != PROTOCOL:
                raise WorkerError(
                    f"Expected a worker that speaks protocol {PROTOCOL}, got {message['protocol']}; restart Slicer."
                )
            self._greeted = True
        elif run is not None and message.get("id") == run.id:
            self._hear_of_run(child, run, message)

    def _hear_of_run(self, child: Child, run: _Run, message: Mapping[str, Any]) -> None:
        match message["kind"]:
            case "begun":
                run.begun = True
            case "progress":
                self._events.append(Progressed(message["fraction"], message["stage"], message["left"]))
            case "result":
                arrays = [child.arena.take(where) for where in message["files"]]
                if run.cancel_by is None:
                    memory = Memory(**message["memory"]) if message["memory"] else None
                    self._end(Ended(decoded(message["result"], arrays), log=child.log, memory=memory))
                else:
                    self._end(Ended(error=Cancelled()))
            case "error":
                error = as_error(message["error"], message["message"])
                self._end(Ended(error=error, details=self._details(), log=child.log))

    def _bury(self) -> None:
        """The process has gone by itself."""
        child, run = self._child, self._run
        assert child is not None
        error, details = WorkerDiedError(child.why()), self._details()
        child.kill()
        self._child = None
        if run is None:
            return
        if run.cancel_by is not None:
            self._end(Ended(error=Cancelled()))
        elif self._greeted and not run.begun and not run.repeated:
            # it was about to end, for idleness or after memory ran out, when the run was sent: the next one takes it
            self._begin(run.settings, run.volumes, repeated=True)
        else:
            self._end(Ended(error=error, details=details, log=child.log))

    def _fail(self, error: CNNSegError) -> None:
        """The process cannot be talked to any more, or could not be started again."""
        end = Ended(error=error)
        if self._child is not None:
            end = Ended(error=error, details=self._details(), log=self._child.log)
            self._child.kill()
            self._child = None
        if self._run is not None:
            self._end(end)

    def _replace(self) -> None:
        """Kill the process; the next run finds the one that was started beside it, warm."""
        assert self._child is not None
        self._child.kill()
        self._child, self._spare = self._spare, None
        self._greeted, self._started_at = False, time.monotonic()

    def _look_at_the_spare(self) -> None:
        """Start the process that will take the place of one that does not notice that its run is cancelled."""
        if self._spare is None:
            with suppress(WorkerError):  # the next run will say so
                self._spare = Child(self._python, self._environment, self._idle_s, self._launch)

    def _drop_spare(self) -> None:
        """The run has ended in time: its own process stays."""
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def _end(self, end: Ended) -> None:
        self._drop_spare()
        self._give_up_upload()
        self._run = None
        self._events = [*self._events, end]

    def _give_up_upload(self) -> None:
        if self._run is not None and hasattr(self._run.upload, "close"):
            self._run.upload.close()

    def _details(self) -> str:
        assert self._child is not None
        return "\n".join(part for part in (self._child.details(), f"Log file: {self._child.log}") if part)


def as_error(name: str, message: str) -> CNNSegError:
    """The error of the worker's run: of the same class, with the same text."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, CNNSegError):
        return kind(message)
    return WorkerError(f"{name}: {message}")
