"""The table of volumes as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import replacing

VOLUME_COLUMNS = ("case", "label", "name", "voxels", "volume_mm3")


def write_volumes_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one line per structure and case; the file appears whole or not at all.

    Parameters
    ----------
    path:
        A file there is replaced.
    rows:
        Each with the keys ``VOLUME_COLUMNS``: the case, the label's value and name, and its size.

    Raises
    ------
    OutputError
        The place cannot be written to.
    ValueError
        A row has a key that is no column.
    """
    # newline="" and \n: the csv module ends lines itself, the same on every system
    with replacing(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, VOLUME_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
