"""How good an exported detector is on the images that were held out: the numbers to publish.

Everything goes the way a user's image goes: from the files, through the engine's front door. The images' ids stand for
LUNA16's ``seriesuid`` in the tables that are left: ``annotations.csv``, ``series.csv`` and ``predictions.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.evaluation.detection.evaluate import evaluate_detection
from SlicerCNNSegLib.engine.evaluation.detection.tables import Points
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.findings.boxes import marks_of, write_marks
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, SubProgress, advance
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import DetectionSettings
from SlicerCNNSegLib.engine.volume import RAS_FROM_LPS

from ..data.cases import MarkedImage
from ..run_folder import write_json
from .evaluate import REPORT

ANNOTATIONS, SERIES, PREDICTIONS = TABLES = ("annotations.csv", "series.csv", "predictions.csv")
ALL_NODULES = "all nodules"
FALSE_POSITIVES = 1.0
"""Per image, at which the card tells the sensitivity."""


def detect_images(bundle: Path, images: Sequence[MarkedImage], progress: Progress) -> Points:
    """Every candidate in the images' files, as LUNA16's marks (LPS mm)."""
    settings = DetectionSettings(str(bundle), measure=False)
    marks = []
    for index, one in enumerate(images):
        advance(progress, index / len(images), f"Searching {one.id}")
        found = run(settings, [read_volume(path) for path in one.images], NoProgress()).candidates
        marks.append(marks_of(one.id, [finding.box for finding in found], [finding.score for finding in found]))
    return Points(
        tuple(name for part in marks for name in part.series),
        np.concatenate([part.center_mm for part in marks]),
        np.concatenate([part.value for part in marks]),
        np.concatenate([part.size_mm for part in marks if part.size_mm is not None]),
    )


def judge_marks(folder: Path, images: Sequence[MarkedImage], marks: Points, progress: Progress) -> dict[str, Any]:
    """Leave the three tables and ``evaluation.json`` in a folder; the numbers."""
    write_marks(folder / PREDICTIONS, marks)
    _write(folder / SERIES, ["seriesuid", *(one.id for one in images)])
    rows = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    for one in images:
        for mark in one.marks:
            x, y, z = np.asarray(mark.center_ras_mm) @ RAS_FROM_LPS[:3, :3]
            rows.append(f"{one.id},{x:.6f},{y:.6f},{z:.6f},{mark.diameter_mm:.6f}")
    _write(folder / ANNOTATIONS, rows)
    return judge_tables(folder, folder / REPORT, progress)


def judge_tables(folder: Path, report: Path, progress: Progress) -> dict[str, Any]:
    """Judge a folder's tables, and keep the numbers in a JSON file.

    Raises
    ------
    FileReadError
        A table is missing.
    InputError
        There is no nodule.
    """
    numbers = evaluate_detection(*(folder / name for name in TABLES), progress=progress)
    write_json(report, numbers)
    return numbers


def merge_tables(folders: Sequence[Path], folder: Path) -> None:
    """Write the rows of the folds' tables as one of each.

    Raises
    ------
    FileReadError
        A fold was not evaluated.
    """
    for name in TABLES:
        try:
            texts = [(one / name).read_text(encoding="utf-8").splitlines() for one in folders]
        except OSError as error:
            raise FileReadError(f"{error.filename} is missing; run 'cnnseg-train evaluate' first.") from error
        _write(folder / name, [texts[0][0], *(line for text in texts for line in text[1:])])


def summarise(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers for ``metadata.json`` and the card."""
    nodules, froc = report["counts"]["nodules"], report["froc"]
    (point,) = (one for one in froc["operating_points"] if one["false_positives_per_scan"] == FALSE_POSITIVES)
    return {
        ALL_NODULES: {
            "cpm": _number(froc["cpm"]["value"], froc["cpm"]["ci95"], nodules),
            "sensitivity": _number(point["sensitivity"], point["ci95"], nodules),
        }
    }


def evaluate_images(bundle: Path, images: Sequence[MarkedImage], folder: Path, progress: Progress) -> dict[str, Any]:
    """Search the images with a bundle and judge it; the few numbers."""
    marks = detect_images(bundle, images, SubProgress(progress, 0.0, 0.8))
    return summarise(judge_marks(folder, images, marks, SubProgress(progress, 0.8, 1.0)))


def _number(value: float, interval: Sequence[float] | None, nodules: int) -> dict[str, Any]:
    ends = {"ci95": [round(end, 4) for end in interval]} if interval else {}
    return {"mean": round(value, 4), **ends, "n": nodules}


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
