"""How good an exported model is on the cases that were held out: the numbers to publish.

Everything goes the way a user's image goes: from the files, through the engine's front door, onto
the image's own grid.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.evaluation.folders import evaluate_folders
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap, write_labelmap
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, SubProgress, advance
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings

from ..data.cases import TrainingCase
from ..data.label_choice import relabel
from ..recipe import Recipe

REPORT = "evaluation.json"
SUMMARISED = ("dice", "nsd", "hd95_mm")


def evaluate_bundle(
    bundle: Path,
    cases: Sequence[TrainingCase],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
    *,
    mirror: bool = False,
) -> dict[str, Any]:
    """Segment the cases with the bundle and compare with their labels.

    What nobody labelled does not count: voxels of the recipe's ``ignore_value``, and structures that were
    not contoured, where the recipe says so.

    Parameters
    ----------
    bundle:
        The exported model.
    cases:
        Held-out cases.
    recipe:
        That of the model.
    folder:
        Gets ``prediction``, ``reference`` and ``evaluation.json``.
    mirror:
        Evaluate with test-time mirroring.

    Returns
    -------
    dict
        As ``evaluate_folders`` gives it, with distances in mm and NSD at 1 mm.
    """
    settings = SegmentationSettings(str(bundle), mirror=mirror)
    prediction, reference = folder / "prediction", folder / "reference"
    for place in (prediction, reference):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    for index, case in enumerate(cases):
        advance(progress, 0.8 * index / len(cases), f"Segmenting {case.id}")
        result = run(settings, [read_volume(path) for path in case.images], NoProgress())
        truth = read_labelmap(case.label)
        found, known = what_was_labelled(result.labelmap, truth.labelmap, recipe)
        write_labelmap(prediction / f"{case.id}.seg.nrrd", found, result.geometry, result.labels)
        write_labelmap(reference / f"{case.id}.seg.nrrd", known, truth.geometry, result.labels)
    report = evaluate_folders(
        reference, prediction, labels=recipe.label_values, progress=SubProgress(progress, 0.8, 1.0)
    )
    with replacing(folder / REPORT) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def what_was_labelled(found: np.ndarray, truth: np.ndarray, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Both labelmaps with the recipe's structures alone, empty where nobody labelled; the truth as its file has it."""
    truth = relabel(truth, recipe.relabelled)
    known = np.where(np.isin(truth, recipe.label_values), truth, 0)
    if recipe.ignore_value:
        found = np.where(truth == recipe.ignore_value, 0, found)
    if recipe.absent_means_not_contoured:
        found = np.where(np.isin(found, known), found, 0)
    return found, known


def read_report(folder: Path) -> dict[str, Any]:
    """What ``evaluate_bundle`` left in a folder.

    Raises
    ------
    FileReadError
        It is not there.
    """
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileReadError(f"{folder} has no readable {REPORT}; run 'cnnseg-train evaluate' first.") from error
    return report


def summarise(report: dict[str, Any]) -> dict[str, Any]:
    """The few numbers for ``metadata.json`` and the card: per structure and over structures.

    A metric that no case gives is left out, and so is the 95 % interval of a single case.
    """
    rows = {label["name"]: label["metrics"] for label in report["summary"]["labels"].values()}
    rows["mean over structures"] = report["summary"]["all_labels"]["metrics"]
    return {
        name: {
            metric: {
                "mean": round(values["mean"], 4),
                **({"ci95": [round(end, 4) for end in values["ci95"]]} if values["ci95"] else {}),
                "n": values["n"],
            }
            for metric, values in metrics.items()
            if metric in SUMMARISED and values["mean"] is not None
        }
        for name, metrics in rows.items()
    }


def in_words(numbers: Mapping[str, Any] | None, digits: int, interval: str = "") -> str:
    """A metric of ``summarise``: ``0.883 (0.875 to 0.891)``, the interval with its name; ``-`` when there is none."""
    if numbers is None:
        return "-"
    text = f"{numbers['mean']:.{digits}f}"
    if "ci95" not in numbers:
        return text
    low, high = (f"{end:.{digits}f}" for end in numbers["ci95"])
    return f"{text} ({interval}{low} to {high})"
