"""How a cohort looks to a parent process: one JSON object per line on stdout, each flushed.

Every object has ``event``. In order:

``start``
    ``schema`` (1), ``cases`` (list of ids), ``model`` (id), ``folder`` (of the outputs).
``progress``
    ``case``, ``position`` (of the case, from 0), ``fraction`` (0..1, of all cases), ``case_fraction``
    (0..1), ``stage`` (words for people). At most ten a second.
``case``
    One for each finished case, as they end: ``case``, ``position``, ``status`` (``done``, ``skipped``: done before and
    verified, ``failed``), ``seconds``. When done or skipped: ``outputs`` (paths, the record last),
    ``volumes`` (list of ``label``, ``name``, ``voxels``, ``volume_mm3``; of a classification instead
    ``classes``, see ``ClassificationResult.rows``; of a detection ``findings``, see ``Finding.to_json``),
    ``warnings`` (list). When failed: ``error`` (type, for example ``FileReadError``), ``message`` (one line).
``end``
    ``total``, ``done``, ``skipped``, ``failed``, ``stopped`` (true when the user stopped it), ``table``
    (path, or null).
``error``
    Instead of what would follow, when the run cannot begin or go on: ``error`` (type), ``message`` (one
    line), ``status`` (the exit status). The message also goes to stderr.

The last object is always ``end`` or ``error``, unless the process was killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..engine.cohort.cases import Case
from ..engine.cohort.runner import DONE, FAILED, SKIPPED, CohortResult, Outcome
from ..engine.cohort.telling import Together
from .status import UsageError, one_line, say_error, status_of

SCHEMA = 1

INTERVAL_S = 0.1
"""Least time between two reports of progress: a panel redraws no faster, and a pipe stays short."""


def emit(event: str, **fields: object) -> None:
    """Write one object."""
    print(json.dumps({"event": event, **fields}), flush=True)


def emit_error(error: Exception) -> None:
    """Write the object that ends a run which cannot go on."""
    kind = error.__cause__ if isinstance(error, UsageError) and error.__cause__ else error
    emit("error", error=type(kind).__name__, message=one_line(error), status=status_of(error))


class JsonProgress:
    """Tells a parent process how far a command is that has no cases: ``progress`` with ``fraction`` and ``stage``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._next_report, self._stage = clock, 0.0, ""

    def report(self, fraction: float, stage: str) -> None:
        """Write ``progress``, unless the same stage was told just now."""
        now = self._clock()
        if now >= self._next_report or stage != self._stage:
            self._next_report, self._stage = now + INTERVAL_S, stage
            emit("progress", fraction=round(fraction, 4), stage=stage)

    def cancelled(self) -> bool:
        """Never: a parent stops the process."""
        return False


class JsonObserver:
    """Tells a parent process about a cohort.

    Parameters
    ----------
    model, folder:
        What runs, and where the outputs go.
    debug:
        Write tracebacks to stderr.
    rows_key:
        ``volumes``, ``classes`` or ``findings``.
    clock:
        Seconds that only grow; a test passes its own.
    """

    def __init__(
        self,
        model: str,
        folder: Path,
        *,
        debug: bool = False,
        rows_key: str = "volumes",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.folder = folder
        self.debug = debug
        self.rows_key = rows_key
        self.clock = clock
        self.cases: Sequence[Case] = ()
        self.together = Together(0)
        self.next_report = 0.0

    def started(self, cases: Sequence[Case]) -> None:
        """Write ``start``."""
        self.cases, self.together = cases, Together(len(cases))
        emit("start", schema=SCHEMA, cases=[case.id for case in cases], model=self.model, folder=str(self.folder))

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Write ``progress``, unless the last one was just now."""
        done = self.together.reached(position, fraction)
        now = self.clock()
        if now < self.next_report:
            return
        self.next_report = now + INTERVAL_S
        emit(
            "progress",
            case=self.cases[position].id,
            position=position,
            fraction=round(done / len(self.cases), 4),
            case_fraction=round(fraction, 4),
            stage=stage,
        )

    def finished(self, position: int, outcome: Outcome) -> None:
        """Write ``case``."""
        self.together.reached(position, 1.0)
        common = {
            "case": outcome.case.id,
            "position": position,
            "status": outcome.status,
            "seconds": round(outcome.seconds, 3),
        }
        if outcome.error is not None:
            emit("case", **common, error=type(outcome.error).__name__, message=one_line(outcome.error))
            if self.debug:
                say_error(f"{outcome.case.id}: {one_line(outcome.error)}", outcome.error)
            return
        emit(
            "case",
            **common,
            outputs=[str(path) for path in outcome.outputs],
            **{self.rows_key: list(outcome.rows)},
            warnings=list(outcome.warnings),
        )

    def ended(self, result: CohortResult) -> None:
        """Write ``end``."""
        emit(
            "end",
            total=result.total,
            **{status: result.count(status) for status in (DONE, SKIPPED, FAILED)},
            stopped=result.stopped,
            table=str(result.table) if result.table else None,
        )

    def close(self) -> None:
        """Nothing stays open."""
