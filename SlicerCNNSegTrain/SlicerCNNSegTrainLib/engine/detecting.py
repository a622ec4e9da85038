"""The steps of a run that a detection does in its own way; ``workflow.py`` says which comes when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.detection.anchors import fit_anchors
from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.progress import NoProgress, Progress

from .checking.checked import CheckedData
from .checking.marks import check_marks
from .data.cases import TEST, VALIDATION
from .data.marked import read_marked_images
from .data.marks import read_marked
from .data.splits import divide
from .recipe import Recipe
from .results.card import complete_bundle, detector_card
from .results.detected import evaluate_images, judge_tables, merge_tables, summarise
from .results.export import export_bundle
from .run_folder import FoldFolder, RunFolder, write_json

Bar = Callable[[str], AbstractContextManager[Progress]]


def with_anchors(recipe: Recipe, table: Path) -> Recipe:
    """The recipe with anchors fitted to the table's diameters, where it has none of its own.

    Held-out and test images of a table that divides them are left out.

    Raises
    ------
    FileReadError, InputError
        The table is wrong, or no image has a nodule.
    """
    if recipe.detection.anchors:
        return recipe
    images = [one for one in read_marked(table) if one.split not in (VALIDATION, TEST)]
    diameters = np.array([mark.diameter_mm for one in images for mark in one.marks])
    spacing = np.array(recipe.prepared.spacing_mm)
    if not len(diameters) or not spacing.min() > 0:
        raise InputError(
            f"Expected nodules in {table.name} and a Spacingd in the recipe's preprocessing to fit anchors to, got "
            f"{len(diameters)} nodules and a spacing of {recipe.prepared.spacing_mm} mm."
        )
    levels, per_level = len(recipe.network["widths"]), int(recipe.network["num_anchors"])
    anchors = fit_anchors(diameters[:, np.newaxis] / spacing, levels, per_level)
    return replace(recipe, detection=replace(recipe.detection, anchors=anchors))


def read_checked_marks(run: RunFolder, recipe: Recipe, folds: Sequence[int], progress: Progress) -> CheckedData:
    """Read the run's images once, judge them, and keep the judgement in ``check.json``.

    Raises
    ------
    SettingsError
        A fold does not exist, or the images cannot be divided.
    """
    table, images = run.read_marked()
    division = divide(images, recipe.folds, recipe.seed)
    for number in folds:
        division.held_out(number)  # a wrong fold is told before all is read
    reading = read_marked_images(images, recipe, progress)
    report = check_marks(images, reading, division, folds)
    write_json(run.check, {"data": str(table)} | report.to_json())
    return CheckedData(table, reading, division, report)


def evaluate_detector(fold: FoldFolder, place: Path, bar: Bar) -> dict[str, Any]:
    """Export a training's best weights and evaluate them on its held-out images.

    Parameters
    ----------
    place:
        Gets the tables of ``results/detected.py`` and ``evaluation.json``.

    Raises
    ------
    FileReadError
        Its data has gone.
    """
    images = fold.marked("held_out")
    shutil.rmtree(fold.model, ignore_errors=True)
    recipe = export_bundle(fold, fold.model)
    with bar(f"Evaluating fold {fold.number}") as progress:
        numbers = evaluate_images(fold.model, images, place, progress)
    complete_bundle(fold.model, {"held_out": numbers}, detector_card(recipe, fold, numbers))
    return numbers


def summarise_detectors(run: RunFolder, places: Sequence[Path]) -> dict[str, Any]:
    """The held-out images of all folds together, into the folder ``out_of_fold`` and ``out_of_fold.json``.

    Parameters
    ----------
    places:
        Where ``evaluate_detector`` left each fold's tables.

    Raises
    ------
    FileReadError
        A fold was not evaluated.
    """
    folder = run.out_of_fold.with_suffix("")
    merge_tables(places, folder)
    return summarise(judge_tables(folder, run.out_of_fold, NoProgress()))
