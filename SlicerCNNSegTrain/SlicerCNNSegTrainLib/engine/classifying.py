"""The steps of a run that a classification does in its own way; ``workflow.py`` says which comes when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.evaluation.classification.metrics import OVERALL, Metrics
from SlicerCNNSegLib.engine.progress import NoProgress, Progress

from .checking.checked import CheckedData
from .checking.images import check_images
from .data.cases import ClassifiedImage
from .data.images import presence_of, read_images
from .data.splits import Division, divide
from .recipe import Recipe
from .results.card import class_card, complete_bundle
from .results.classified import (
    TABLE,
    classify_images,
    judge,
    judge_table,
    merge_tables,
    store_running,
    summarise,
    truth_of,
)
from .results.export import export_bundle
from .results.familiar import study_images
from .results.temperature import fit_temperature, scaled
from .run_folder import FoldFolder, RunFolder, write_json
from .training.classification import BINS, THRESHOLD, table_of

Bar = Callable[[str], AbstractContextManager[Progress]]


def read_checked_images(run: RunFolder, recipe: Recipe, folds: Sequence[int], progress: Progress) -> CheckedData:
    """Read the run's images once, judge them, and keep the judgement in ``check.json``.

    Raises
    ------
    SettingsError
        A fold does not exist, or the images cannot be divided.
    """
    table, images = run.read_images(recipe)
    division = divide_images(images, recipe)
    for number in folds:
        division.held_out(number)  # a wrong fold is told before all is read
    reading = read_images(images, recipe, progress)
    report = check_images(images, reading, division, recipe.class_names, folds)
    write_json(run.check, {"data": str(table)} | report.to_json())
    return CheckedData(table, reading, division, report)


def divide_images(images: Sequence[ClassifiedImage], recipe: Recipe) -> Division[ClassifiedImage]:
    """The recipe's division, each class spread over the folds.

    Raises
    ------
    SettingsError
        As ``divide``.
    """
    only_trained = [one.id for one in images if one.is_only_trained]
    return divide(images, recipe.folds, recipe.seed, presence_of(images, recipe.class_names), only_trained)


def evaluate_classifier(fold: FoldFolder, place: Path, bar: Bar) -> dict[str, Any]:
    """Export a training's best weights, fit the temperature to its held-out images, and evaluate it on them.

    What its images are like is measured as well, so that a run can tell when another one is not.

    Parameters
    ----------
    place:
        Gets ``probabilities.csv`` and ``evaluation.json``.

    Raises
    ------
    FileReadError
        Its data has gone.
    """
    images = fold.images("held_out")
    shutil.rmtree(fold.model, ignore_errors=True)
    recipe = export_bundle(fold, fold.model)
    truth = truth_of(images, recipe)
    with bar(f"Classifying the held-out images of fold {fold.number}") as progress:
        plain = classify_images(fold.model, images, progress)
    temperature = round(fit_temperature(plain, truth, multi_label=recipe.multi_label), 4)
    with bar(f"Measuring the images of fold {fold.number}") as progress:
        study = study_images(fold.model, fold.images("training"), images, recipe, progress)
    store_running(fold.model, {"temperature": temperature, **study})
    with bar(f"Evaluating fold {fold.number}") as progress:
        honest = scaled(plain, temperature, multi_label=recipe.multi_label)
        numbers = summarise(judge(place, images, honest, recipe, progress))
    before = _calibration_error([one.id for one in images], truth, plain, recipe)
    metrics = {"held_out": numbers, "temperature": temperature, "ece_without_temperature": round(before, 4)}
    complete_bundle(fold.model, metrics, class_card(recipe, fold, numbers, temperature))
    return numbers


def summarise_classifiers(run: RunFolder, places: Sequence[Path]) -> dict[str, Any]:
    """The held-out images of all folds together, into ``out_of_fold.json`` and ``out_of_fold.csv``.

    Parameters
    ----------
    places:
        Where ``evaluate_classifier`` left each fold's numbers.

    Raises
    ------
    FileReadError
        A fold was not evaluated.
    """
    table = run.out_of_fold.with_suffix(".csv")
    merge_tables([place / TABLE for place in places], table)
    return summarise(judge_table(table, run.out_of_fold, NoProgress()))


def evaluate_test_images(fold: FoldFolder, bundle: Path, place: Path, bar: Bar) -> dict[str, Any]:
    """A bundle on the images of the split ``test``.

    Raises
    ------
    FileReadError
        The data has gone.
    """
    images, recipe = fold.images("test"), Recipe.read(fold.recipe)
    with bar("Classifying the test images") as progress:
        probabilities = classify_images(bundle, images, progress)
    with bar("Evaluating") as progress:
        return summarise(judge(place, images, probabilities, recipe, progress))


def _calibration_error(cases: Sequence[str], truth: np.ndarray, probabilities: np.ndarray, recipe: Recipe) -> float:
    table = table_of(cases, recipe.class_names, truth, probabilities, multi_label=recipe.multi_label)
    metrics = Metrics(table, threshold=THRESHOLD, bins=BINS)
    values = metrics.values(np.ones((1, len(cases))))[0].tolist()
    return float(dict(zip(metrics.keys, values, strict=True))[OVERALL, "ece"])
