"""How long Qt's event loop was ever kept from doing anything else."""

from __future__ import annotations

import time

from PySide6 import QtCore

INTERVAL_MS = 2


class LoopProbe(QtCore.QObject):
    """Notes the longest time between two beats of a timer; a context manager.

    ``longest_s`` is by the clock; ``longest_busy_s`` is the processor time of this thread, which other work of
    the machine does not lengthen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = self.longest_busy_s = 0.0
        self._timer = self.startTimer(INTERVAL_MS, QtCore.Qt.TimerType.PreciseTimer)
        self._last = time.monotonic(), time.thread_time()

    def timerEvent(self, event: QtCore.QTimerEvent | None) -> None:  # noqa: N802
        """Qt's own name for a beat."""
        now = time.monotonic(), time.thread_time()
        self.longest_s = max(self.longest_s, now[0] - self._last[0])
        self.longest_busy_s = max(self.longest_busy_s, now[1] - self._last[1])
        self._last = now

    def __enter__(self) -> LoopProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self.timerEvent(None)  # what keeps the loop at the very end counts too
        self.killTimer(self._timer)


def slowdown() -> float:
    """By how much other work of the machine lengthens what this thread does: seconds by the clock per processor second.

    The larger one of five tries over 50 ms of processor time each.
    """
    worst = 1.0
    for _ in range(5):
        clock, busy = time.monotonic(), time.thread_time()
        while time.thread_time() < busy + 0.05:
            pass
        worst = max(worst, (time.monotonic() - clock) / 0.05)
    return worst
