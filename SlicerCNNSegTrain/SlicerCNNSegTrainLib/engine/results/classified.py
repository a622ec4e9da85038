"""How good an exported classifier is on the images that were held out: the numbers to publish.

Everything goes the way a user's image goes: from the files, through the engine's front door.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.evaluation.classification.evaluate import evaluate_classification
from SlicerCNNSegLib.engine.evaluation.classification.tables import (
    CASE,
    PATIENT,
    PROBABILITY,
    TRUTH,
    read_classification_table,
)
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, advance
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

from ..data.cases import ClassifiedImage
from ..recipe import Recipe
from ..run_folder import write_json
from .evaluate import REPORT

TABLE = "probabilities.csv"
SUMMARISED = ("auc", "accuracy", "balanced_accuracy", "ece")
ALL_CLASSES = "all classes"


def classify_images(
    bundle: Path, images: Sequence[ClassifiedImage], progress: Progress, *, mirror: bool = False
) -> np.ndarray:
    """Probabilities of the images' files, ``(image, class)``."""
    rows = []
    for index, one in enumerate(images):
        advance(progress, index / len(images), f"Classifying {one.id}")
        volumes = [read_volume(path) for path in one.images]
        settings = ClassificationSettings(str(bundle), mirror=mirror, regions=(whole(volumes[0]),))
        rows.append(run(settings, volumes, NoProgress()).predictions[0].probabilities)
    return np.array(rows)


def whole(image: Volume) -> Region:
    """A whole image as a region, of which a network of slices sees the middle ones, as when it is trained."""
    i, j, k = image.geometry.size_ijk
    return Region("ijk", (0, i, 0, j, 0, k))


def truth_of(images: Sequence[ClassifiedImage], recipe: Recipe) -> np.ndarray:
    """Booleans ``(image, class)``."""
    return np.array([[name in one.classes for name in recipe.class_names] for one in images])


def write_probabilities(
    path: Path, images: Sequence[ClassifiedImage], probabilities: np.ndarray, recipe: Recipe
) -> None:
    """Write the table that ``cnnseg evaluate classification`` reads.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    names = recipe.class_names
    truths = [f"{TRUTH}_{name}" for name in names] if recipe.multi_label else [TRUTH]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([CASE, PATIENT, *truths, *(f"{PROBABILITY}_{name}" for name in names)])
        for one, row in zip(images, probabilities, strict=True):
            truth = [int(name in one.classes) for name in names] if recipe.multi_label else one.classes
            writer.writerow([one.id, one.patient, *truth, *(f"{value:.8f}" for value in row)])


def judge_table(table: Path, report: Path, progress: Progress) -> dict[str, Any]:
    """Judge a table of probabilities, and keep the numbers in a JSON file.

    Raises
    ------
    FileReadError
        There is no table.
    InputError
        It holds one class alone.
    """
    numbers = evaluate_classification(read_classification_table(table), progress=progress)
    write_json(report, numbers)
    return numbers


def judge(
    folder: Path, images: Sequence[ClassifiedImage], probabilities: np.ndarray, recipe: Recipe, progress: Progress
) -> dict[str, Any]:
    """Leave the table of probabilities and ``evaluation.json`` in a folder; the numbers."""
    write_probabilities(folder / TABLE, images, probabilities, recipe)
    return judge_table(folder / TABLE, folder / REPORT, progress)


def merge_tables(tables: Sequence[Path], path: Path) -> None:
    """Write the rows of the folds' tables as one.

    Raises
    ------
    FileReadError
        A fold was not evaluated.
    """
    try:
        texts = [table.read_text(encoding="utf-8").splitlines() for table in tables]
    except OSError as error:
        raise FileReadError(f"{error.filename} is missing; run 'cnnseg-train evaluate' first.") from error
    with replacing(path) as temporary:
        lines = [texts[0][0], *(line for text in texts for line in text[1:])]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def summarise(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers for ``metadata.json`` and the card: over all classes, and the AUC of each of several."""
    (model,) = report["models"]
    cases, each = report["data"]["cases"], model["classes"]
    overall = {metric: _number(model["overall"][metric], cases) for metric in SUMMARISED}
    if len(each) == 1:  # of two classes the one that is judged; its AUC has DeLong's interval
        (only,) = each.values()
        return {ALL_CLASSES: overall | {"auc": _number(only["auc"], cases)}}
    return {ALL_CLASSES: overall} | {name: {"auc": _number(values["auc"], cases)} for name, values in each.items()}


def _number(entry: Mapping[str, Any], cases: int) -> dict[str, Any]:
    interval = entry["ci95"]
    ends = {"ci95": [round(end, 4) for end in interval]} if interval else {}
    return {"mean": round(entry["value"], 4), **ends, "n": cases}


def mean_temperature(bundles: Sequence[Path]) -> float:
    """The geometric mean of the bundles' temperatures: of an ensemble, whose networks had one each."""
    running = (json.loads((one / "configs" / "inference.json").read_text(encoding="utf-8")) for one in bundles)
    return round(float(np.exp(np.mean([np.log(config["cnnseg"]["temperature"]) for config in running]))), 4)


def store_running(bundle: Path, values: Mapping[str, Any]) -> None:
    """Write what a run goes by, as ``temperature``, into a bundle, where the checksum covers it."""
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["cnnseg"].update(values)
    write_json(path, config)
