"""A worker without a process: does what a test tells it to."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.errors import Cancelled, InputError
from ..engine.volume import Volume
from .interface import Ended, Event, Settings, Worker


class FakeWorker(Worker):
    """Tells a list of events, one at each ``poll``.

    Parameters
    ----------
    events:
        What happens in each run; without an ``Ended`` it goes on until it is cancelled.
    """

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events = list(events)
        self.started: list[tuple[Settings, tuple[Volume, ...]]] = []
        self.closed = 0
        self._coming: list[Event] | None = None

    @property
    def running(self) -> bool:
        """Whether the end was not told yet."""
        return self._coming is not None

    def start(self, settings: Settings, volumes: Sequence[Volume]) -> None:
        """Note what was asked for."""
        if self.running:
            raise InputError("A run is under way; wait for its end or cancel it.")
        self.started.append((settings, tuple(volumes)))
        self._coming = list(self.events)

    def poll(self) -> list[Event]:
        """The next event."""
        if not self._coming:
            return []
        event = self._coming.pop(0)
        if isinstance(event, Ended):
            self._coming = None
        return [event]

    def cancel(self) -> None:
        """The next event is the end."""
        if self.running:
            self._coming = [Ended(error=Cancelled())]

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1
        self._coming = None

    def wait(self, timeout_s: float) -> None:
        """Time stands still."""
