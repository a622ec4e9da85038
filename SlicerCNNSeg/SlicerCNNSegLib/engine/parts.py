"""Parts of an image, and how long the stages of a run take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from .labels import Label


@dataclass(frozen=True)
class Part:
    """A box of the image to segment, and the labels that its structures get.

    Parameters
    ----------
    start_ijk, stop_ijk:
        The half-open box.
    labels:
        In the order of the model's labels.
    offset:
        How much larger its values are than the model's.
    """

    start_ijk: tuple[int, int, int]
    stop_ijk: tuple[int, int, int]
    labels: tuple[Label, ...]
    offset: int = 0


class Stopwatch:
    """Seconds per stage, summed over parts."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside the ``with`` block to the stage ``name``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begin, 4)
