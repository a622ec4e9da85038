"""Findings as a CSV table and as JSON, both read back exactly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import FileReadError, InputError
from ..files.atomic import replacing
from .category import TITLE
from .finding import Finding, Measurements

FORMAT = "cnnseg-findings-1"
"""What the JSON file calls itself."""

CENTER = ("center_r_mm", "center_a_mm", "center_s_mm")
SIZE = ("size_1_mm", "size_2_mm", "size_3_mm")
DIRECTIONS = tuple(f"direction_{n}_{axis}" for n in (1, 2, 3) for axis in "ras")
MEASURED = tuple(field.name for field in fields(Measurements))
COLUMNS = (
    *("id", "status", "score", *CENTER, "location", "mean_diameter_mm", *MEASURED),
    *("category", "malignancy", "probabilities", *SIZE, *DIRECTIONS),
)
"""RAS mm; sizes along the box's own directions, each of which has an R, A and S part; probabilities are JSON."""


def finding_row(finding: Finding) -> dict[str, str]:
    """The finding by ``COLUMNS``; numbers with all their digits, "" for what there is not."""
    measured: dict[str, Any] = dict.fromkeys(("mean_diameter_mm", *MEASURED), "")
    if finding.measurements is not None:
        measured = {**vars(finding.measurements), "mean_diameter_mm": finding.measurements.mean_diameter_mm}
    row: dict[str, Any] = {
        "id": finding.id,
        "status": finding.status,
        "score": finding.score,
        **dict(zip(CENTER, finding.box.center_ras_mm, strict=True)),
        "location": finding.location,
        **measured,
        "category": finding.category,
        "malignancy": "" if finding.malignancy is None else finding.malignancy,
        "probabilities": json.dumps(dict(finding.probabilities)) if finding.probabilities else "",
        **dict(zip(SIZE, finding.box.size_mm, strict=True)),
        **dict(zip(DIRECTIONS, (x for row in finding.box.directions for x in row), strict=True)),
    }
    return {name: repr(float(cell)) if isinstance(cell, float) else str(cell) for name, cell in row.items()}


def write_findings_csv(path: str | Path, findings: Iterable[Finding]) -> None:
    """Write one line per finding; the file appears whole or not at all.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    with replacing(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(finding_row, findings))


def read_findings_csv(path: str | Path) -> list[Finding]:
    """Read what ``write_findings_csv`` wrote; other columns are left unread.

    Raises
    ------
    FileReadError
        The file cannot be read as a table.
    InputError
        A column is missing, a cell makes no sense, or an id stands twice.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet writes a byte order mark
            reader = csv.DictReader(file, restval="")
            rows = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise InputError(
            f"Expected the columns of a findings table in {path}, separated by commas, but it lacks "
            f"{', '.join(missing)}; give a table that CNNSeg wrote."
        )
    return _unique([_from_row(row, f"{path}, line {line}") for line, row in rows], path)


def write_findings_json(path: str | Path, findings: Iterable[Finding]) -> None:
    """Write the findings as JSON; the file appears whole or not at all.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    plain = {"format": FORMAT, "category": TITLE, "findings": [finding.to_json() for finding in findings]}
    with replacing(Path(path)) as part:
        part.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read_findings_json(path: str | Path) -> list[Finding]:
    """Read what ``write_findings_json`` wrote.

    Raises
    ------
    FileReadError
        The file is missing or no JSON.
    InputError
        It is no list of findings, one makes no sense, or an id stands twice.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileReadError(f"{path} cannot be read as JSON ({error}); write the findings again.") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT or not isinstance(plain.get("findings"), list):
        raise InputError(f"Expected findings of the format {FORMAT} in {path}; give a file that CNNSeg wrote.")
    return _unique([Finding.from_json(data) for data in plain["findings"]], path)


def _from_row(cells: dict[str, str], place: str) -> Finding:
    """The finding of one row."""
    try:
        measured = {name: cells[name] if name == "kind" else float(cells[name]) for name in MEASURED if cells[name]}
        return Finding.from_json(
            {
                **{name: cells[name] for name in ("id", "status", "location", "category")},
                "score": float(cells["score"]),
                "center_ras_mm": [float(cells[name]) for name in CENTER],
                "size_mm": [float(cells[name]) for name in SIZE],
                "directions": [[float(cells[name]) for name in DIRECTIONS[n : n + 3]] for n in (0, 3, 6)],
                "measurements": measured or None,
                "malignancy": float(cells["malignancy"]) if cells["malignancy"] else None,
                "probabilities": json.loads(cells["probabilities"] or "{}"),
            }
        )
    except (ValueError, InputError) as error:
        raise InputError(f"{place} is no finding: {error}") from error


def _unique(findings: list[Finding], path: str | Path) -> list[Finding]:
    """The same, when every id stands once."""
    ids: Sequence[str] = [finding.id for finding in findings]
    twice = next((id_ for id_ in ids if ids.count(id_) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has the finding {twice} twice; keep one of them.")
    return findings
