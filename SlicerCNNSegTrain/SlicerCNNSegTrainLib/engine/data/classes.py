"""Images of a CSV table with the classes that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.paths import safe_name, stem
from SlicerCNNSegLib.engine.files.rows import Row, read_rows
from SlicerCNNSegLib.engine.wording import listed

from .cases import TRAIN, ClassifiedImage
from .manifest import IMAGE, TRUTHS, check_rows, file_of, split_of

CLASS = "class"
MASK = "mask"
SHARE = "share_"
"""Before a class's name: the column of how much speaks for it."""

OTHER_COLUMNS = ("case", "patient", "split", MASK)
LISTED_CLASSES = 80
TOLERANCE = 1e-3
"""Of the sum of shares, which people round."""


def read_classified(
    path: Path, channels: Sequence[str], classes: Sequence[str], *, multi_label: bool
) -> list[ClassifiedImage]:
    """Images of a table (comma, semicolon or tab), in its order.

    Columns: ``image``, or one for each channel; ``class`` with the class's name, or, where classes don't
    exclude each other, one column of 0 and 1 for each class; and, as wanted, ``case`` (the id, else the
    image file's name), ``patient`` (else each image is of a patient of its own), ``split`` (train,
    validation or test, for all rows or for none) and ``mask`` (what a network of two tasks outlines, on the
    image's grid); those of other tasks are left unread. Paths are relative to the table's folder.

    Where readers disagree, ``share_`` and each class's name: how much speaks for it, 1 in all. The network
    learns these instead of the class, which is still what it is judged by. With no class in its row an image
    is only trained on, and not even that while its patient is held out.

    Raises
    ------
    FileReadError
        The table cannot be read, or a file in it does not exist.
    InputError
        A column is unknown or missing, a cell is empty or wrong, or two rows are one case.
    """
    columns, rows = read_rows(path)
    sources = (IMAGE,) if IMAGE in columns else tuple(channels)
    truths = tuple(classes) if multi_label else (CLASS,)
    wanted = (*sources, *truths)
    shares = () if multi_label else tuple(SHARE + name for name in classes)
    wanted += tuple(name for name in shares if set(shares) & set(columns))
    missing = [name for name in wanted if name not in columns]
    unknown = [name for name in columns if name not in (*wanted, *OTHER_COLUMNS, *TRUTHS)]
    if missing or unknown:
        what = f"lacks the column {missing[0]!r}" if missing else f"has the unknown column {unknown[0]!r}"
        raise InputError(
            f"{path.name} {what}; expected 'image' or the channels {', '.join(channels)}, "
            f"{listed(truths, LISTED_CLASSES)}, and, as wanted, {', '.join(OTHER_COLUMNS)}."
        )
    images = [_image(path.parent, row, sources, classes, multi_label=multi_label) for row in rows]
    check_rows(images, rows)
    return images


def _image(
    folder: Path, row: Row, sources: Sequence[str], classes: Sequence[str], *, multi_label: bool
) -> ClassifiedImage:
    files = [file_of(folder, row, column) for column in sources]
    case_id = safe_name(row.cells.get("case") or stem(files[0]))
    shares = _shares(row, classes)
    if shares and not row.cells[CLASS]:
        found: tuple[str, ...] = ()
    else:
        found = _labels(row, classes) if multi_label else (_class(row, classes),)
    if shares and found and max(shares) > shares[list(classes).index(found[0])]:
        raise InputError(f"{row.place}: the class is {found[0]!r}, but more speaks for another; correct one of them.")
    mask = file_of(folder, row, MASK) if row.cells.get(MASK) else None
    split, patient = split_of(row), row.cells.get("patient") or case_id
    if not found and shares and split not in ("", TRAIN):
        raise InputError(f"{row.place}: expected a class, or the split {TRAIN!r}: without one nothing can be judged.")
    return ClassifiedImage(case_id, tuple(files), found, patient, split, mask, shares)


def _shares(row: Row, classes: Sequence[str]) -> tuple[float, ...]:
    """How much speaks for each class; empty where the row does not say."""
    cells = [row.cells.get(SHARE + name, "") for name in classes]
    if not any(cells):
        return ()
    try:
        shares = tuple(map(float, cells))
    except ValueError:
        shares = ()
    if not shares or min(shares) < 0 or abs(sum(shares) - 1) > TOLERANCE:
        got = ", ".join(cell or "nothing" for cell in cells)
        raise InputError(f"{row.place}: expected shares of 0 and more that are 1 in all, got {got}.")
    return shares


def _class(row: Row, classes: Sequence[str]) -> str:
    name = row.cells[CLASS]
    if name not in classes:
        known = listed(classes, LISTED_CLASSES)
        raise InputError(f"{row.place}: unknown class {name!r}; the recipe's are {known}: correct one of them.")
    return name


def _labels(row: Row, classes: Sequence[str]) -> tuple[str, ...]:
    for name in classes:
        if row.cells[name] not in ("0", "1"):
            raise InputError(f"{row.place}: expected 0 or 1 in the column {name!r}, got {row.cells[name]!r}.")
    return tuple(name for name in classes if row.cells[name] == "1")
