"""What files a classified case gets.

For the case ``a`` in the folder ``out``: ``out/a.classes.json`` with the probabilities, ``out/a.heat.nii.gz``
(or another format) and ``out/a.heat.png`` where an explanation was asked for, and the record
``out/a.classes.run.json``; ``out/classes.csv`` has a row for each case and region. Names differ from those of
a segmentation, so both may share a folder.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..classification.result import ClassificationResult
from ..files.atomic import replacing
from ..volume import Volume
from .outputs import CasePlan

CLASSES_SUFFIX = ".classes.json"
HEAT = ".heat."
PICTURE_SUFFIX = ".heat.png"
HEAT_FORMATS = ("nii.gz", "nrrd", "mha")
LEADING = ("case", "region", "class", "entropy", "novelty")
"""Columns of the table before the probabilities; ``class`` is what is decided for, ``novelty`` may be empty."""


@dataclass(frozen=True)
class ClassPlan(CasePlan):
    """Where the outputs of a classification go and which.

    Parameters
    ----------
    folder:
        Made when it is not there.
    heat_format:
        Suffix of the heat map's file, without the first dot; "" when there is none.
    name:
        As in ``OutputPlan``.
    """

    folder: Path
    heat_format: str = ""
    name: str = ""
    rows_key: ClassVar[str] = "classes"
    record_suffix: ClassVar[str] = ".classes.run.json"
    table_name: ClassVar[str] = "classes.csv"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the probabilities and, if wanted, the heat map and its picture."""
        heat = (f"{HEAT}{self.heat_format}", PICTURE_SUFFIX) if self.heat_format else ()
        return (CLASSES_SUFFIX, *heat)

    def write(self, part: Path, suffix: str, case_id: str, volume: Volume, result: ClassificationResult) -> None:
        """Write the probabilities, the heat map or its picture."""
        if suffix == CLASSES_SUFFIX:
            text = json.dumps(_plain(case_id, result), indent=2) + "\n"
            part.write_text(text, encoding="utf-8")
        elif suffix == PICTURE_SUFFIX:
            from ..picture.heat import write_heat

            write_heat(part, volume, result)
        elif result.explanation is not None:
            from ..files.itk import write_itk

            write_itk(part, Volume(result.explanation.heat[None], result.geometry.ijk_to_ras).to_sitk())

    def rows(self, result: ClassificationResult) -> list[dict[str, Any]]:
        """One for each region."""
        return result.rows()

    def write_rows(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the table of classes."""
        write_classes_csv(path, rows)


def _plain(case_id: str, result: ClassificationResult) -> dict[str, Any]:
    """The contents of the JSON file."""
    return {
        "case": case_id,
        "model": result.record.model_id,
        "classes": [label.to_json() for label in result.classes],
        "predictions": result.rows(),
        "explanation": result.explanation.to_json() if result.explanation else None,
    }


def write_classes_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one line per case and region, with a column ``probability_<class>`` for each class of any row.

    Beside a column ``truth`` the table is what ``cnnseg evaluate classification`` reads.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    listed = list(rows)
    names = dict.fromkeys(f"probability_{name}" for row in listed for name in row["probabilities"])
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*LEADING, *names), lineterminator="\n")
        writer.writeheader()
        for row in listed:
            cells = {"case": row["case"], "region": row["region"], "class": "; ".join(row["decided"])}
            probabilities = {f"probability_{name}": value for name, value in row["probabilities"].items()}
            measured = {name: row[name] for name in ("entropy", "novelty")}
            writer.writerow({**cells, **measured, **probabilities})
