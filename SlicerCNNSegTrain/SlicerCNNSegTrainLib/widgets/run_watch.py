"""What is new in a run's folder, looked up once a second while a training writes into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt

CHECK, PLAN, SHEET, CURVES, EVALUATION = (
    "check.json",
    "plan.json",
    "fold_*/contact_sheet.png",
    "fold_*/curves.csv",
    "fold_*/validation/plain/evaluation.json",
)
"""What a panel shows of a run; of several folds the youngest file."""

INTERVAL_MS = 1000


class RunWatch:
    """Tells of new and changed files.

    Parameters
    ----------
    on_new:
        Called with one of the names above, and the file's path.
    """

    def __init__(self, on_new: Callable[[str, Path], None]) -> None:
        self._on_new = on_new
        self._run: Path | None = None
        self._seen: dict[str, tuple[Path, int]] = {}
        self._timer = qt.QTimer()
        self._timer.interval = INTERVAL_MS
        self._timer.timeout.connect(self.look)

    def turn_to(self, run: Path | None) -> None:
        """Look at this folder, all of which is new then."""
        self._run, self._seen = run, {}
        self.look()

    def start(self) -> None:
        """Look again and again."""
        self._timer.start()

    def stop(self) -> None:
        """Look a last time."""
        self._timer.stop()
        self.look()

    def close(self) -> None:
        """Look no more."""
        self._timer.stop()
        self._run = None

    def look(self) -> None:
        """Tell what has changed since the last look."""
        for name in (CHECK, PLAN, SHEET, CURVES, EVALUATION) if self._run else ():
            newest = max(((_changed_ns(path), path) for path in self._run.glob(name)), default=(0, None))
            when, path = newest
            if path is not None and self._seen.get(name) != (path, when):
                self._seen[name] = (path, when)
                self._on_new(name, path)


def _changed_ns(path: Path) -> int:
    """When the file was written; 0 for one that has just gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
