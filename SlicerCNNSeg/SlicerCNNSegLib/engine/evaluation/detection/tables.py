"""The tables of LUNA16: which scans there are, annotated findings, and marks.

Columns are found by their names, in any order; others are left unread. They are separated by commas
or, when the first line holds one, by tabs. All positions of one evaluation are in one world frame in
mm (LUNA16's is LPS); the protocol knows distances only, so which frame makes no difference.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import FileReadError, InputError

SERIES_COLUMN = "seriesuid"
CENTER_COLUMNS = ("coordX", "coordY", "coordZ")
DIAMETER_COLUMN = "diameter_mm"
PROBABILITY_COLUMN = "probability"
SIZE_COLUMNS = ("sizeX_mm", "sizeY_mm", "sizeZ_mm")
"""A box's edges along the world axes. Without them ``diameter_mm`` is the edge of a cube."""


@dataclass(frozen=True)
class Points:
    """Findings or marks, one per row.

    Parameters
    ----------
    series:
        The scan of each.
    center_mm:
        Shape ``(n, 3)``, x, y, z in world mm.
    value:
        Shape ``(n,)``: the diameter in mm of findings (below 0: unknown), the probability of marks.
    size_mm:
        Shape ``(n, 3)``, edges of the box around ``center_mm`` along the world axes, or None when the
        table tells none.
    """

    series: tuple[str, ...]
    center_mm: np.ndarray
    value: np.ndarray
    size_mm: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.series)


NO_POINTS = Points((), np.empty((0, 3)), np.empty(0))


def read_findings(path: str | Path) -> Points:
    """Annotated findings: ``seriesuid,coordX,coordY,coordZ,diameter_mm``.

    Raises
    ------
    FileReadError
        The file cannot be read as a table.
    InputError
        A column is missing, or a field is no finite number.
    """
    table = _Table(path, (SERIES_COLUMN, *CENTER_COLUMNS, DIAMETER_COLUMN))
    size_mm = table.numbers(SIZE_COLUMNS) if table.has(SIZE_COLUMNS) else None
    diameter_mm = table.numbers((DIAMETER_COLUMN,))[:, 0]
    return Points(table.texts(SERIES_COLUMN), table.numbers(CENTER_COLUMNS), diameter_mm, size_mm)


def read_marks(path: str | Path) -> Points:
    """Marks of a detector: ``seriesuid,coordX,coordY,coordZ,probability``.

    Sizes are optional: ``sizeX_mm,sizeY_mm,sizeZ_mm``, or ``diameter_mm`` as the edge of a cube. The
    probability may be any finite score: only its order counts.

    Raises
    ------
    FileReadError
        The file cannot be read as a table.
    InputError
        A column is missing, a field is no finite number, or a size is not above 0.
    """
    table = _Table(path, (SERIES_COLUMN, *CENTER_COLUMNS, PROBABILITY_COLUMN))
    size_mm = None
    for columns in (SIZE_COLUMNS, (DIAMETER_COLUMN,)):
        if size_mm is None and table.has(columns):
            size_mm = np.broadcast_to(table.numbers(columns, above_0=True), (len(table.rows), 3))
    probability = table.numbers((PROBABILITY_COLUMN,))[:, 0]
    return Points(table.texts(SERIES_COLUMN), table.numbers(CENTER_COLUMNS), probability, size_mm)


def read_series(path: str | Path) -> tuple[str, ...]:
    """The scans: the first column of every line; a heading ``seriesuid`` is no scan.

    Raises
    ------
    FileReadError
        The file cannot be read as a table.
    InputError
        It names no scan, or one twice (which would count its false positives over a scan too many).
    """
    series = tuple(row[0].strip() for _, row in _read_rows(path))
    series = series[1:] if series[:1] == (SERIES_COLUMN,) else series
    if not series:
        raise InputError(f"Expected one seriesuid per line in {path}, got none; list every scan that was searched.")
    seen: set[str] = set()
    for uid in series:
        if uid in seen:
            raise InputError(f"Expected every scan once in {path}, got {uid} twice; remove the second line.")
        seen.add(uid)
    return series


class _Table:
    """The rows of a table with a heading, and where its columns are."""

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        self.path = Path(path)
        (_, heading), *self.rows = _read_rows(path) or [(1, [])]
        self.place = {name.strip(): n for n, name in reversed(list(enumerate(heading)))}
        missing = [name for name in columns if name not in self.place]
        if missing:
            raise InputError(
                f"Expected the columns {', '.join(columns)} in the first line of {path}, separated by commas or "
                f"tabs, got {', '.join(heading) or 'nothing'}; add {', '.join(missing)}."
            )
        for line, row in self.rows:
            if len(row) < len(heading):
                raise InputError(
                    f"Expected {len(heading)} fields in line {line} of {path}, got {len(row)}; complete it."
                )

    def has(self, columns: Sequence[str]) -> bool:
        return all(name in self.place for name in columns)

    def texts(self, column: str) -> tuple[str, ...]:
        place = self.place[column]
        return tuple(row[place].strip() for _, row in self.rows)

    def numbers(self, columns: Sequence[str], *, above_0: bool = False) -> np.ndarray:
        """Columns as float64, shape ``(rows, columns)``."""
        places = [self.place[name] for name in columns]
        values = np.array([[_number(row[n]) for n in places] for _, row in self.rows]).reshape(-1, len(columns))
        wrong = np.argwhere(~(np.isfinite(values) & ((values > 0) | (not above_0))))
        if len(wrong):
            row, column = wrong[0]
            line, fields = self.rows[row]
            raise InputError(
                f"Expected a finite number{' above 0' * above_0} for {columns[column]} in line {line} of {self.path}, "
                f"got {fields[places[column]]!r}; correct it or remove the line."
            )
        return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_rows(path: str | Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of every line that is not blank."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:  # Excel writes a byte order mark
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except OSError as error:
        raise FileReadError(f"Cannot read {path}: {error.strerror or error}; check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"Expected a table of text (UTF-8) in {path}, got {error}; export it as CSV.") from error
