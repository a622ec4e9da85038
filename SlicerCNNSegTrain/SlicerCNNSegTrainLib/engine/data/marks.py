"""Images of a CSV table with the nodules in them: one row for each nodule."""

from __future__ import annotations

from pathlib import Path

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.paths import safe_name, stem
from SlicerCNNSegLib.engine.files.rows import Row, read_rows

from .cases import Mark, MarkedImage
from .manifest import IMAGE, check_rows, file_of, split_of

PLACE, DIAMETER, FRAME = ("x", "y", "z"), "diameter", "frame"
LPS, RAS = "LPS", "RAS"
WANTED = (IMAGE, *PLACE, DIAMETER)
SAME = ("case", "patient", "split")
"""What the rows of one image agree in."""


def read_marked(path: Path) -> list[MarkedImage]:
    """Images of a table (comma, semicolon or tab) with their nodules, in its order.

    Columns: ``image``; ``x``, ``y``, ``z``, the nodule's middle in mm; ``diameter`` in mm. A row without these four
    numbers is an image without nodules. As wanted: ``frame``, ``LPS`` (as DICOM and LUNA16 have it, and without the
    column) or ``RAS``; ``case`` (the id, else the image file's name), ``patient`` (else each image is of a patient of
    its own), ``split`` (train, validation or test, for all rows or for none). Other columns are left unread. Paths
    are relative to the table's folder.

    Raises
    ------
    FileReadError
        The table cannot be read, or a file in it does not exist.
    InputError
        A column is missing, a cell is empty or wrong, or the rows of one image don't agree.
    """
    columns, rows = read_rows(path)
    missing = [name for name in WANTED if name not in columns]
    if missing:
        raise InputError(
            f"{path.name} lacks the column {missing[0]!r}; expected {', '.join(WANTED)}, and, as wanted, "
            f"{', '.join((FRAME, *SAME))}."
        )
    by_image: dict[Path, list[Row]] = {}
    for row in rows:
        by_image.setdefault(file_of(path.parent, row, IMAGE), []).append(row)
    images = [_image(file, some) for file, some in by_image.items()]
    check_rows(images, [some[0] for some in by_image.values()])
    return images


def _image(file: Path, rows: list[Row]) -> MarkedImage:
    for column in SAME:
        different = next((row for row in rows if row.cells.get(column) != rows[0].cells.get(column)), None)
        if different is not None:
            raise InputError(
                f"{different.place} has another {column} than {rows[0].place}, of the same image; make them alike."
            )
    case_id = safe_name(rows[0].cells.get("case") or stem(file))
    marks = tuple(mark for row in rows if (mark := _mark(row)) is not None)
    if len(marks) < len(rows) and len(rows) > 1:
        empty = next(row for row in rows if _mark(row) is None)
        raise InputError(f"{empty.place} names no nodule, but its image has other rows; fill it in or remove it.")
    return MarkedImage(case_id, (file,), marks, rows[0].cells.get("patient") or case_id, split_of(rows[0]))


def _mark(row: Row) -> Mark | None:
    """The row's nodule; None where all four numbers are empty."""
    cells = [row.cells[name] for name in (*PLACE, DIAMETER)]
    if not any(cells):
        return None
    try:
        x, y, z, diameter_mm = (float(cell) for cell in cells)
    except ValueError as error:
        raise InputError(f"{row.place}: expected numbers for {', '.join((*PLACE, DIAMETER))}, got {cells}.") from error
    if not 0 < diameter_mm < float("inf"):
        raise InputError(f"{row.place}: expected a diameter above 0 mm, got {diameter_mm:g}.")
    frame = row.cells.get(FRAME, "").upper() or LPS
    if frame not in (LPS, RAS):
        raise InputError(f"{row.place}: expected the frame {LPS} or {RAS}, got {row.cells[FRAME]!r}.")
    return Mark((x, y, z) if frame == RAS else (-x, -y, z), diameter_mm)
