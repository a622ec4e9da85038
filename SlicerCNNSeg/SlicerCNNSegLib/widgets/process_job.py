"""One child process at a time, run beside Qt's event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import qt

from ..worker.processes import end_process_tree, interrupt_process_tree
from .lines import LineBuffer

CLOSE_TIMEOUT_MS = 3000
"""How long closing waits for a killed process; the kernel needs a few ms, a swapping machine longer."""


@dataclass(frozen=True)
class JobEnd:
    """How a process ended.

    Parameters
    ----------
    status:
        Exit status; None when it crashed, was killed or never started.
    cancelled:
        Whether ``cancel`` was called.
    problem:
        Why there is no exit status, else empty.
    """

    status: int | None
    cancelled: bool
    problem: str = ""


class ProcessJob:
    """Starts a process and tells what it writes and how it ends; it never blocks.

    Parameters
    ----------
    on_line:
        Called with each line of its standard output and standard error.
    on_end:
        Called once for each ``start``, with a ``JobEnd``, after the last line.
    """

    def __init__(self, on_line: Callable[[str], None], on_end: Callable[[JobEnd], None]) -> None:
        self.running = False
        self._on_line = on_line
        self._on_end = on_end
        self._cancelled = False
        self._program = ""
        self._process = None  # kept after its end: a QProcess must not be destroyed in its own signal

    def start(self, program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process.

        Raises
        ------
        RuntimeError
            The one before is still running.
        """
        if self.running:
            raise RuntimeError(f"{self._program} is still running; cancel it or wait for its end.")
        self._program, self._cancelled = program, False
        self._output, self._errors = LineBuffer(), LineBuffer()
        self._process = qt.QProcess()
        variables = qt.QProcessEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        self._process.setProcessEnvironment(variables)
        self._process.connect("readyReadStandardOutput()", self._read_output)
        self._process.connect("readyReadStandardError()", self._read_errors)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        self.running = True
        self._process.start(program, list(arguments))

    def interrupt(self) -> None:
        """Ask the process to stop in its own time; ``on_end`` follows. Does nothing when none runs."""
        pid = int(self._process.processId()) if self.running else 0
        if pid:
            interrupt_process_tree(pid)

    def cancel(self) -> None:
        """End the process and all that it has started; ``on_end`` follows. Does nothing when none runs."""
        if self.running:
            self._cancelled = True
            pid = int(self._process.processId())
            if pid:  # 0 as long as it has not started
                end_process_tree(pid)

    def close(self) -> None:
        """End the process and wait until it has gone; ``on_end`` was called when this returns."""
        if self.running:
            self.cancel()
            self._process.waitForFinished(CLOSE_TIMEOUT_MS)

    def _read_output(self) -> None:
        self._tell(self._output.lines(self._process.readAllStandardOutput().data()))

    def _read_errors(self) -> None:
        self._tell(self._errors.lines(self._process.readAllStandardError().data()))

    def _finished(self, status: int, exit_status: object) -> None:
        self._read_output()
        self._read_errors()
        self._tell(self._output.last() + self._errors.last())
        crashed = exit_status == qt.QProcess.CrashExit
        problem = f"The process ended unexpectedly (signal or status {status})." if crashed else ""
        self._end(JobEnd(None if crashed else status, self._cancelled, problem))

    def _failed(self, error: object) -> None:
        # every other error is followed by finished
        if error == qt.QProcess.FailedToStart:
            self._end(JobEnd(None, self._cancelled, f"{self._program} could not be started; is it installed?"))

    def _tell(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._on_line(line)

    def _end(self, end: JobEnd) -> None:
        self.running = False
        self._on_end(end)
