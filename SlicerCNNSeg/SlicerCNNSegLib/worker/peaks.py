"""How much memory a run took, measured by the process that ran it.

Linux forgets a process's peak on request. Elsewhere the peak is that of the process's whole life, and is known to be
the run's only where it has grown; what is not known is not told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
FORGET_PEAK = "5"
"""What ``clear_refs`` takes to set the peak to what is held now; see proc(5)."""


@dataclass(frozen=True)
class Memory:
    """Of one run, all in bytes.

    Parameters
    ----------
    peak:
        The most that the process held, libraries and model with it.
    base:
        What it holds when the run is over, without the run's images and results.
    card:
        The most that was held of a graphics card; 0 where none was used.
    """

    peak: int
    base: int
    card: int = 0


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        with suppress(OSError):
            CLEAR.write_text(FORGET_PEAK, encoding="ascii")
        self._before = _peak_bytes()
        cards = _cards()
        if cards is not None:
            cards.reset_peak_memory_stats()

    def read(self, arrays: Iterable[np.ndarray]) -> Memory | None:
        """What was measured; None where it cannot be known.

        Parameters
        ----------
        arrays:
            The run's images and results, which the process still holds.
        """
        peak, cards = _peak_bytes(), _cards()
        if peak <= self._before:
            return None
        base = _held_bytes() - sum(array.nbytes for array in arrays)
        return Memory(peak, max(base, 0), 0 if cards is None else int(cards.max_memory_reserved()))


def _held_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _peak_bytes() -> int:
    with suppress(OSError, StopIteration, ValueError):
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024
    if os.name == "nt":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cards() -> Any:
    """``torch.cuda`` where this process computes on such a card, else None; loads nothing."""
    torch = sys.modules.get("torch")
    cards = getattr(torch, "cuda", None)
    return cards if cards is not None and cards.is_available() and cards.is_initialized() else None
