"""How a cohort looks in a terminal: one bar with the time left, or plain lines when there is none.

Results go to stdout; the bar, warnings and errors to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..engine.cohort.cases import Case
from ..engine.cohort.runner import DONE, FAILED, SKIPPED, CohortResult, Outcome
from ..engine.cohort.telling import Together
from ..engine.wording import printable
from .bar import Bar
from .status import one_line, say_error


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns of text, those of numbers to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [bool(rows) and all(isinstance(row[n], int | float) for row in rows) for n in range(len(header))]
    lines = []
    for row in cells:
        aligned = zip(row, widths, numeric, strict=True)
        lines.append("  ".join(cell.rjust(w) if number else cell.ljust(w) for cell, w, number in aligned).rstrip())
    return "\n".join(lines)


def volumes_table(volumes: Sequence[Mapping[str, Any]]) -> str:
    """The volumes of one case as text."""
    rows = [(row["name"], int(row["voxels"]), round(float(row["volume_mm3"]))) for row in volumes]
    return table(rows, ("structure", "voxels", "volume (mm3)"))


def summary(result: CohortResult, content: str = "volumes") -> str:
    """One line on what became of all cases; ``content`` says what the table holds."""
    counts = {
        "done": result.count(DONE),
        "done before": result.count(SKIPPED),
        "failed": result.count(FAILED),
        "not done": result.total - len(result.outcomes),
    }
    told = ", ".join(f"{number} {what}" for what, number in counts.items() if number or what == "done")
    where = f"; {content} in {result.table}" if result.table else ""
    return f"{result.total} case{'s' * (result.total > 1)}: {told}{where}"


class TerminalObserver:
    """Shows a cohort to a person.

    Parameters
    ----------
    quiet:
        Show errors only.
    debug:
        Show an error's traceback.
    rows_text:
        The rows of a single case as text.
    content:
        What the table of all cases holds.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        debug: bool = False,
        rows_text: Callable[[Sequence[Mapping[str, Any]]], str] = volumes_table,
        content: str = "volumes",
    ) -> None:
        self.quiet = quiet
        self.debug = debug
        self.rows_text, self.content = rows_text, content
        self.cases: Sequence[Case] = ()
        self.together = Together(0)
        self.bar = Bar(0, wanted=False)

    def started(self, cases: Sequence[Case]) -> None:
        """Open the bar."""
        self.cases, self.together = cases, Together(len(cases))
        self.bar = Bar(len(cases), wanted=not self.quiet)

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Move the bar."""
        self.bar.move(self.together.reached(position, fraction), f"{self.cases[position].id}: {stage}")

    def finished(self, position: int, outcome: Outcome) -> None:
        """Show what became of a case: errors always, warnings unless quiet, the rest when there is no bar."""
        if outcome.status == SKIPPED:
            self.bar.leave_out(1)
        name = outcome.case.id
        self.bar.clear()
        if outcome.error is not None:
            say_error(f"{name}: {one_line(outcome.error)}", outcome.error if self.debug else None)
        elif not self.quiet:
            for warning in outcome.warnings if outcome.status == DONE else ():
                sys.stderr.write(f"cnnseg: warning: {name}: {warning}\n")
            if not self.bar.shown and len(self.cases) > 1:
                took = f", {outcome.seconds:.1f} s" if outcome.status == DONE else ""
                print(f"[{position + 1}/{len(self.cases)}] {name}: {outcome.status}{took}", flush=True)
        self.bar.move(self.together.reached(position, 1.0), name)

    def ended(self, result: CohortResult) -> None:
        """Close the bar; show the rows of a single case, else the summary."""
        self.close()
        outcomes = result.outcomes
        if result.stopped:
            sys.stderr.write("cnnseg: stopped; what is done stays, --resume goes on from there.\n")
        if self.quiet:
            return
        if result.total == 1 and outcomes and outcomes[0].error is None:
            files = "\n".join(str(path) for path in (*outcomes[0].outputs, result.table) if path)
            print(f"{self.rows_text(outcomes[0].rows)}\n\n{files}", flush=True)
        elif result.total > 1:
            print(summary(result, self.content), flush=True)

    def close(self) -> None:
        """Close the bar, whatever happened."""
        self.bar.close()


class TerminalProgress:
    """Shows one long job to a person; Ctrl-C is how it is cancelled."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.bar = Bar(None, wanted=not quiet)

    def report(self, fraction: float, stage: str) -> None:
        """Move the bar."""
        self.bar.move(fraction, stage)

    def cancelled(self) -> bool:
        """Return False: Ctrl-C raises KeyboardInterrupt instead."""
        return False

    def close(self) -> None:
        """Close the bar, whatever happened."""
        self.bar.close()
