"""Which tasks data can be trained for: a folder of labels for one, a table for those whose columns it has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.rows import Row, read_rows
from SlicerCNNSegLib.engine.wording import listed

from .classes import CLASS, SHARE
from .manifest import IMAGE, LABEL, OTHER_COLUMNS
from .manifest import TRUTHS as ALL_TRUTHS
from .marks import DIAMETER, PLACE
from .read import TABLE_SUFFIX

SEGMENTATION, DETECTION, CLASSIFICATION = "segmentation", "detection", "classification"
TASKS = (SEGMENTATION, DETECTION, CLASSIFICATION)
"""Names as in a recipe's ``model.task``, in the order in which they are offered."""

TRUTHS = {SEGMENTATION: (LABEL,), DETECTION: (*PLACE, DIAMETER), CLASSIFICATION: (CLASS,)}
"""Columns that hold the truth of a task."""

NAMES_LENGTH = 80


def tasks_of(data: Path) -> dict[str, str]:
    """Each task with the reason why the data is none for it; empty where it is.

    Raises
    ------
    FileReadError, InputError
        The table cannot be read.
    """
    if data.suffix.lower() != TABLE_SUFFIX:
        return tasks_of_folders()
    columns, rows = read_rows(data)
    missing = {task: [name for name in names if name not in columns] for task, names in TRUTHS.items()}
    if yes_no_columns(columns, rows):
        missing[CLASSIFICATION] = []
    return {
        task: f"{data.name} lacks the column {listed([repr(name) for name in names], NAMES_LENGTH)}." if names else ""
        for task, names in missing.items()
    }


def tasks_of_folders() -> dict[str, str]:
    """The same of any folder: its labels are for a segmentation."""
    return {task: "" if task == SEGMENTATION else f"A {task} is trained from a table (CSV)." for task in TASKS}


def choose_task(data: Path, wanted: str = "") -> tuple[str, str]:
    """The task, and why that one.

    Parameters
    ----------
    wanted:
        A task by name; empty for the one that the data allows.

    Raises
    ------
    SettingsError
        The data allows none, or not that one, or several and none is wanted.
    """
    reasons = tasks_of(data)
    allowed = [task for task, reason in reasons.items() if not reason]
    if wanted and wanted not in allowed:
        raise SettingsError(f"Expected data for a {wanted}: {reasons.get(wanted, 'there is no such task.')}")
    if not allowed:
        known = "; ".join(f"{task}: {', '.join(names)}" for task, names in TRUTHS.items())
        raise SettingsError(f"Expected in {data.name} the columns of a task ({known}), got none of them.")
    if not wanted and len(allowed) > 1:
        raise SettingsError(f"{data.name} allows {' and '.join(allowed)}; say which with --task.")
    others = [task for task in allowed if task != (wanted or allowed[0])]
    why = f"as asked; the data allows {' and '.join(others)} too" if others else "the only one that the data allows"
    return wanted or allowed[0], why


def yes_no_columns(columns: Iterable[str], rows: Iterable[Row]) -> list[str]:
    """Columns of 0 and 1 alone: classes that don't exclude each other."""
    known, rows = {IMAGE, *OTHER_COLUMNS, *ALL_TRUTHS}, list(rows)
    others = [name for name in columns if name not in known and not name.startswith(SHARE)]
    return [name for name in others if all(row.cells[name] in ("0", "1") for row in rows)]
