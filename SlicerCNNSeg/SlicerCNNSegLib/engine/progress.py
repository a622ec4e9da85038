"""Progress and cancellation: what every loop that can run over a second takes."""

from dataclasses import dataclass, field
from typing import Protocol

from .errors import Cancelled


class Progress(Protocol):
    """Where a long job says how far it is, and learns that it should stop."""

    def report(self, fraction: float, stage: str) -> None:
        """Say that ``fraction`` (0..1) of the job is done and that ``stage`` is under way."""

    def cancelled(self) -> bool:
        """Whether the user asked to stop."""


class NoProgress:
    """Reports to nobody and is never cancelled."""

    def report(self, fraction: float, stage: str) -> None:
        """Ignore the report."""

    def cancelled(self) -> bool:
        """Return False: nobody can cancel."""
        return False


@dataclass
class RecordingProgress:
    """The fake for tests: keeps every report, cancels once ``cancel_at`` is reached.

    Parameters
    ----------
    cancel_at:
        Fraction from which on ``cancelled()`` is True; None never cancels.
    """

    cancel_at: float | None = None
    reports: list[tuple[float, str]] = field(default_factory=list)

    def report(self, fraction: float, stage: str) -> None:
        """Keep the report."""
        self.reports.append((fraction, stage))

    def cancelled(self) -> bool:
        """Whether the last report was at or past ``cancel_at``."""
        return self.cancel_at is not None and bool(self.reports) and self.reports[-1][0] >= self.cancel_at


@dataclass(frozen=True)
class SubProgress:
    """The part of ``parent``'s bar between the fractions ``start`` and ``stop``."""

    parent: Progress
    start: float
    stop: float

    def report(self, fraction: float, stage: str) -> None:
        """Report ``fraction`` of this part to the parent."""
        self.parent.report(self.start + (self.stop - self.start) * min(max(fraction, 0.0), 1.0), stage)

    def cancelled(self) -> bool:
        """Whether the parent was cancelled."""
        return self.parent.cancelled()


def advance(progress: Progress, fraction: float, stage: str) -> None:
    """Report, and raise ``Cancelled`` when the user asked to stop."""
    progress.report(fraction, stage)
    if progress.cancelled():
        raise Cancelled
