"""How long Qt's event loop was ever kept from doing anything else."""

from __future__ import annotations

import time

from PySide6 import QtCore

INTERVAL_MS = 2


class LoopProbe(QtCore.QObject):
    """Notes the longest time between two beats of a timer, in seconds; a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0
        self._timer = self.startTimer(INTERVAL_MS, QtCore.Qt.TimerType.PreciseTimer)
        self._last = time.monotonic()

    def timerEvent(self, event: QtCore.QTimerEvent) -> None:  # noqa: N802
        """Qt's own name for a beat."""
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now

    def __enter__(self) -> LoopProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self.timerEvent(None)  # what keeps the loop at the very end counts too
        self.killTimer(self._timer)
