"""Progress in the terminal: one bar with time left and the stage; Ctrl-C can stop cleanly."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType, TracebackType

from SlicerCNNSegLib.cli.bar import Bar

LOG_SECONDS = float(os.environ.get("CNNSEG_LOG_SECONDS", "60"))
"""Without a terminal, one line this often: a night's training gives a log that one can read; a panel wants more."""


class BarProgress:
    """A progress bar on standard error, or lines where that is no terminal; an ``engine.progress.Progress``.

    Parameters
    ----------
    title:
        What is going on.
    stop_cleanly:
        Take the first Ctrl-C as a wish to stop at the next step, with a checkpoint; the second ends at once.
    shown:
        Of several processes only one tells.
    """

    def __init__(self, title: str, *, stop_cleanly: bool = False, shown: bool = True) -> None:
        self._told = shown
        self._title, self._stop_cleanly, self._stopped = title, stop_cleanly, False
        self._handler: signal._HANDLER = None
        self._bar = Bar(None)
        self._logged = time.monotonic()

    def report(self, fraction: float, stage: str) -> None:
        """Move the bar and show the stage."""
        if not self._told:
            return
        self._bar.move(fraction, f"{self._title}: {stage}")
        if not self._bar.shown and time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            sys.stderr.write(f"{self._title}: {fraction:.0%}, {stage}\n")

    def cancelled(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def __enter__(self) -> BarProgress:
        if self._stop_cleanly:
            self._handler = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stop_cleanly:
            signal.signal(signal.SIGINT, self._handler)
        self._bar.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        signal.signal(signal.SIGINT, self._handler)
