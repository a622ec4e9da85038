"""What is told of many cases, and to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .cases import Case

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Parameters
    ----------
    status:
        ``done``, ``skipped`` (done by an earlier run, and verified) or ``failed``.
    seconds:
        Wall clock time of this case in this run, without waiting for its turn.
    outputs:
        The files written, the record last.
    rows:
        Of the task's table: per structure label (value), name, voxels, volume_mm3; per region what
        ``ClassificationResult.rows`` says; per finding what ``Finding.to_json`` says.
    warnings:
        What a reader of the result must know.
    error:
        Why it failed.
    """

    case: Case
    status: str
    seconds: float = 0.0
    outputs: tuple[Path, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class CohortResult:
    """What became of all cases; ``stopped`` when the user stopped before the last."""

    total: int
    outcomes: tuple[Outcome, ...]
    stopped: bool
    table: Path | None

    def count(self, status: str) -> int:
        """Number of cases with that status."""
        return sum(outcome.status == status for outcome in self.outcomes)


class Observer(Protocol):
    """Who is told how a cohort goes: the terminal, a parent process, a test.

    All calls come from the thread that runs the cohort. Several cases may be under way: one is read and another
    written while a third one's network runs.
    """

    def started(self, cases: Sequence[Case]) -> None:
        """Begin: these cases."""

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Tell that ``fraction`` (0..1) of the case at ``position`` is done and ``stage`` under way."""

    def finished(self, position: int, outcome: Outcome) -> None:
        """Tell what became of the case at ``position``."""

    def ended(self, result: CohortResult) -> None:
        """End: nothing comes after this."""


@dataclass
class RecordingObserver:
    """The fake for tests: keeps what it is told."""

    cases: tuple[Case, ...] = ()
    reports: list[tuple[int, float, str]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    results: list[CohortResult] = field(default_factory=list)

    def started(self, cases: Sequence[Case]) -> None:
        """Keep the cases."""
        self.cases = tuple(cases)

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Keep the report."""
        self.reports.append((position, fraction, stage))

    def finished(self, position: int, outcome: Outcome) -> None:
        """Keep the outcome."""
        self.outcomes.append(outcome)

    def ended(self, result: CohortResult) -> None:
        """Keep the result."""
        self.results.append(result)


class Together:
    """How much of all cases is done, in cases; never falls, also where a case is begun again."""

    def __init__(self, count: int) -> None:
        self._fractions = [0.0] * count

    def reached(self, position: int, fraction: float) -> float:
        """The sum, now that the case at ``position`` has come so far."""
        self._fractions[position] = max(self._fractions[position], fraction)
        return sum(self._fractions)
