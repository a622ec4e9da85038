"""Cases of a CSV table: where images and labels lie anywhere, and patients and splits are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.files.paths import safe_name, stem
from SlicerCNNSegLib.engine.files.rows import Row, read_rows

from .cases import SPLITS, PatientCase, TrainingCase, TrainingData
from .description import read_description

IMAGE, LABEL = "image", "label"
OTHER_COLUMNS = (LABEL, "case", "patient", "split")
TRUTHS = (LABEL, "class", "mask", "x", "y", "z", "diameter", "frame")
"""What some task learns from: the columns of other tasks are left unread, so that one table may serve several."""


def read_manifest(path: Path, channels: Sequence[str] = ()) -> TrainingData:
    """Cases of a table (comma, semicolon or tab), in its order.

    Columns: ``image``, or one for each channel; ``label``; and, as wanted, ``case`` (the id, else the
    label file's name), ``patient`` (else each case is a patient of its own) and ``split`` (train,
    validation or test, for all rows or for none). Those of other tasks (``TRUTHS``) are left unread. Paths
    are relative to the table's folder, whose ``dataset.json``, if there is one, names the labels; without
    one the columns name the channels.

    Parameters
    ----------
    path:
        The table.
    channels:
        Names of the channels, for the columns. Without, all columns but the ones above are channels.

    Raises
    ------
    FileReadError
        The table cannot be read, or a file in it does not exist.
    InputError
        A column is unknown or missing, a cell is empty or wrong, or two rows are one case.
    """
    columns, rows = read_rows(path)
    sources = _source_columns(path, columns, channels)
    cases = [_case(path.parent, row, sources) for row in rows]
    check_rows(cases, rows)
    description = read_description(path.parent)
    if not description.channels and sources != (IMAGE,):
        description = replace(description, channels=sources)
    return TrainingData(path, tuple(cases), description)


def check_rows(cases: Sequence[PatientCase], rows: Sequence[Row]) -> None:
    """Raise InputError where two rows are one case, or where some have a split and others none."""
    seen: set[str] = set()
    for case, row in zip(cases, rows, strict=True):
        if case.id.casefold() in seen:
            raise InputError(
                f"{row.place}: two rows are the case {case.id!r}; name each in the column 'case', or remove one."
            )
        seen.add(case.id.casefold())
    if len({bool(case.split) for case in cases}) > 1:
        missing = next(row for case, row in zip(cases, rows, strict=True) if not case.split)
        raise InputError(f"{missing.place} has no split, other rows have; fill in {', '.join(SPLITS)} for all or none.")


def _source_columns(path: Path, columns: tuple[str, ...], channels: Sequence[str]) -> tuple[str, ...]:
    """The columns that hold images, in the channels' order."""
    rest = tuple(name for name in columns if name not in (*OTHER_COLUMNS, *TRUTHS))
    sources = (IMAGE,) if IMAGE in columns else tuple(channels) or rest
    missing = [name for name in (*(sources or (IMAGE,)), LABEL) if name not in columns]
    if missing:
        wanted = f"'image' or the channels {', '.join(channels)}" if channels else "'image' or one column per channel"
        raise InputError(f"{path.name} lacks the column {missing[0]!r}; expected {wanted}, and 'label'.")
    unknown = [name for name in rest if name not in sources]
    if unknown:
        known = ", ".join((*sources, *OTHER_COLUMNS))
        raise InputError(f"{path.name} has the unknown column {unknown[0]!r}; expected {known}; remove the others.")
    return sources


def _case(folder: Path, row: Row, sources: Sequence[str]) -> TrainingCase:
    files = [file_of(folder, row, column) for column in (*sources, LABEL)]
    case_id = safe_name(row.cells.get("case") or stem(files[-1]))
    return TrainingCase(case_id, tuple(files[:-1]), files[-1], row.cells.get("patient") or case_id, split_of(row))


def split_of(row: Row) -> str:
    """What the row's column ``split`` says, or "".

    Raises
    ------
    InputError
        It is no split.
    """
    split = row.cells.get("split", "").lower()
    if split and split not in SPLITS:
        raise InputError(f"{row.place}: expected a split out of {', '.join(SPLITS)}, got {row.cells['split']!r}.")
    return split


def file_of(folder: Path, row: Row, column: str) -> Path:
    """The file in a cell.

    Raises
    ------
    InputError, FileReadError
        The cell is empty, or there is no such file.
    """
    if not row.cells[column]:
        raise InputError(f"{row.place} has no file in the column {column!r}; fill it in or remove the row.")
    path = folder / row.cells[column]
    if not path.exists():
        raise FileReadError(f"{row.place}: there is no file {path}; check the column {column!r}.")
    return path
