"""How much longer a run will take, from how fast its bar has moved."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_S = 1.0
"""Below this the first windows (which also choose kernels and fill caches) would decide the answer."""


class TimeLeft:
    """Seconds to the end, if the rest of the bar moves as fast as this stage has so far.

    Parameters
    ----------
    clock:
        Seconds that only grow; a test passes its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._start = (0.0, 0.0)
        self._last = 0.0

    def update(self, fraction: float, stage: str) -> float | None:
        """Take in a report; gives the seconds left, or None as long as nobody can know."""
        now = self._clock()
        if stage != self._stage or fraction < self._last:  # a run that ran out of memory begins anew
            self._stage, self._start, self._last = stage, (now, fraction), fraction
            return None
        self._last = fraction
        seconds, moved = now - self._start[0], fraction - self._start[1]
        if seconds < LEAST_S or moved <= 0:
            return None
        return (1 - fraction) * seconds / moved


def in_words(seconds: float) -> str:
    """A time that is left, in the unit that fits: ``12 s``, ``4 min``, ``2 h``."""
    for limit, size, unit in ((90, 1, "s"), (90 * 60, 60, "min")):
        if seconds < limit:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 3600)} h"
