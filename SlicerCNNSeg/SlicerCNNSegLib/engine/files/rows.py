"""The rows of a CSV table, each with its place for messages."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileReadError, InputError

DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """One row: where it stands (``T.csv, row 5``), and its cells by column, without spaces around them."""

    place: str
    cells: dict[str, str]


def read_rows(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The columns and the rows of a table parted by comma, semicolon or tab; empty lines are left out.

    Raises
    ------
    FileReadError
        The file is missing or no text.
    InputError
        It has no row, a column twice or without a name, or a row of another length than the header.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        header = lines[0] if lines else ""
        reader = csv.reader(lines, delimiter=max(DELIMITERS, key=header.count), skipinitialspace=True)
        columns = tuple(name.strip() for name in next(reader, []))
        read = [(reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error
    rows = []
    for number, cells in read:
        place = f"{path.name}, row {number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            raise InputError(
                f"{place} has {len(cells)} cells, the header {len(columns)}; "
                "give one for each column, and put cells with commas in double quotes."
            )
        rows.append(Row(place, dict(zip(columns, map(str.strip, cells), strict=True))))
    if not rows:
        raise InputError(f"{path} has no rows; give a header and a row for each case.")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice or "" in columns:
        raise InputError(
            f"{path} has the column {twice[0]!r} twice; keep one of them."
            if twice and twice[0]
            else f"{path} has a column without a name; name it or remove it."
        )
    return columns, rows
