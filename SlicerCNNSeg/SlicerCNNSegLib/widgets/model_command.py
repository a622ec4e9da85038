"""The command ``cnnseg models`` in a process of its own: downloads, unpacking and deleting never keep the GUI."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer

from ..worker.processes import MODULE_FOLDER, child_environment, child_python
from .process_job import JobEnd, ProcessJob

LAUNCH = "import sys; sys.path[:0] = [{folder!r}]; from SlicerCNNSegLib.cli.main import main; sys.exit(main())"
"""Runs the command from where the library lies, whatever Python's own search path is."""

ERROR = "cnnseg: error: "
"""How the command begins the line that says what went wrong."""


class ModelCommand:
    """One command at a time.

    Parameters
    ----------
    on_end:
        Called once for each ``start``, with a ``JobEnd``: its problem is what the command says went wrong.
    on_event:
        Called with each JSON object that the command writes.
    """

    def __init__(
        self, on_end: Callable[[JobEnd], None], on_event: Callable[[dict[str, Any]], None] = lambda event: None
    ) -> None:
        self._on_end, self._on_event = on_end, on_event
        self._problem = ""
        self._stopping = False
        self._job = ProcessJob(self._hear, self._end)

    @property
    def running(self) -> bool:
        """Whether a command is under way."""
        return self._job.running

    def start(self, *arguments: str) -> None:
        """Start ``cnnseg models`` with these arguments."""
        self._problem, self._stopping = "", False
        environment = child_environment(slicer.util.startupEnvironment())
        code = LAUNCH.format(folder=str(MODULE_FOLDER))
        self._job.start(child_python(), ["-c", code, "models", *arguments], environment)

    def cancel(self) -> None:
        """Let the command clean up and stop; end it at once when it was asked before."""
        if self._stopping:
            self._job.cancel()
        else:
            self._stopping = True
            self._job.interrupt()

    def close(self) -> None:
        """End the command at once."""
        self._job.close()

    def _hear(self, line: str) -> None:
        if line.startswith(ERROR):
            self._problem = line.removeprefix(ERROR)
        elif line.startswith("{"):
            self._on_event(json.loads(line))

    def _end(self, end: JobEnd) -> None:
        cancelled = end.cancelled or (self._stopping and end.status != 0)
        self._on_end(replace(end, cancelled=cancelled, problem=self._problem or end.problem))
