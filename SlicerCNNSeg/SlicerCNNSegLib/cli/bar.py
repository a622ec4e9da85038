"""One progress bar on stderr, where there is a terminal to draw it in."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

CASES_FORMAT = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} cases [{elapsed}<{remaining}{postfix}]"
JOB_FORMAT = "{percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


class Bar:
    """A bar with the time left, over ``total`` cases, or over one job (None).

    Nothing is drawn when stderr is no terminal, nor without tqdm, which Slicer's Python may lack.
    """

    def __init__(self, total: int | None, *, wanted: bool = True) -> None:
        self._bar: Any = None
        if wanted and sys.stderr.isatty() and importlib.util.find_spec("tqdm"):
            from tqdm import tqdm

            form = JOB_FORMAT if total is None else CASES_FORMAT
            self._bar = tqdm(total=total or 1, bar_format=form, file=sys.stderr, dynamic_ncols=True)

    @property
    def shown(self) -> bool:
        """Whether a bar is drawn."""
        return self._bar is not None

    def move(self, done: float, text: str) -> None:
        """Show that so many cases, or that share of the job, are done; drawn at most ten times a second."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)

    def leave_out(self, cases: int) -> None:
        """Keep that many cases out of the time left: they took none."""
        if self._bar is not None:
            self._bar.initial += cases

    def clear(self) -> None:
        """Make room for a line of text; the next move draws the bar again."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
