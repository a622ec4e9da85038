"""The steps of a run, each from what lies in its folder to what lies there afterwards.

``begin`` → ``read_checked`` → ``train_fold`` for each fold → ``evaluate_fold`` → ``summarise_folds`` → ``export_run``.
The command line and the panel are thin around these.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.evaluation.folders import merge_reports
from SlicerCNNSegLib.engine.networks import CLASSIFICATION, DETECTION, SEGMENTATION
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import Progress
from SlicerCNNSegLib.engine.store.self_check import make_self_check
from SlicerCNNSegLib.engine.weights import stored_type

from .checking.check import check_data, divide_read
from .checking.checked import CheckedData
from .classifying import evaluate_classifier, evaluate_test_images, read_checked_images, summarise_classifiers
from .data.reading import read_cases
from .data.splits import divide
from .detecting import evaluate_detector, read_checked_marks, summarise_detectors, with_anchors
from .planning.plan import Plan
from .recipe import Recipe
from .results.assemble import assemble_model, replacing_model
from .results.batch_sheet import batch_sheet, plain_crop
from .results.card import CARD, card_text, complete_bundle
from .results.compare import (
    Measured,
    add_to_cards,
    check_cards,
    compare_models,
    compare_precisions,
    judge_half_precision,
)
from .results.contact_sheet import write_contact_sheet
from .results.detected import evaluate_images
from .results.evaluate import REPORT, evaluate_bundle, read_report, summarise
from .results.export import HALF, WEIGHTS, WEIGHTS_TYPES, export_bundle
from .results.observers import CurvesPicture, RunObserver, TensorBoardLog
from .run_folder import FoldFolder, RunFolder, write_json
from .training.classification import ClassificationTask
from .training.detection import DetectionTask
from .training.hardware import Hardware
from .training.ranks import ALONE, Ranks
from .training.samples import Sample
from .training.segmentation import SegmentationTask
from .training.task import Task
from .training.trainer import Trainer
from .transfer.start import start_network
from .transfer.teacher import find_teacher

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar with a title."""

LOG = logging.getLogger(__name__)
"""What a person should know of a run, which is no error; it comes out on standard error."""

SHEET_BATCHES = 2
"""Batches on the contact sheet."""

TASKS: Mapping[str, Callable[..., Task]] = {
    SEGMENTATION: SegmentationTask,
    CLASSIFICATION: ClassificationTask,
    DETECTION: DetectionTask,
}
"""What learns each task: recipe, training and held-out samples in; ``precision`` and ``ranks`` by name."""

PLAIN, MIRRORED = "plain", "mirrored"
"""Folders of an evaluation without and with test-time mirroring."""


def begin_run(
    run: RunFolder, data: Path, recipe: Recipe, *, allow_empty: bool = False, plan: Plan | None = None
) -> None:
    """Make a run's folder: the recipe, to be edited, where the data is, and why the recipe is as it is.

    Raises
    ------
    SettingsError
        There is a run in the folder already.
    InputError
        A detection's table is wrong.
    """
    if run.recipe.exists():
        raise SettingsError(
            f"{run.path} holds a run already; train it with 'cnnseg-train run {run.path}', or choose another folder."
        )
    recipe = with_anchors(recipe, data) if recipe.task == DETECTION else recipe
    run.write_data(data, allow_empty=allow_empty)
    if plan is not None:
        write_json(run.plan, plan.to_json())
    write_json(run.recipe, recipe.to_json())


def read_checked(run: RunFolder, recipe: Recipe, folds: Sequence[int], progress: Progress) -> CheckedData:
    """Read the run's cases once, judge them, and keep the judgement in ``check.json``.

    The report's errors are not raised here: show the findings, then call ``report.stop_at_errors()``.

    Raises
    ------
    SettingsError
        A fold does not exist, or the cases cannot be divided.
    """
    if recipe.task == CLASSIFICATION:
        return read_checked_images(run, recipe, folds, progress)
    if recipe.task == DETECTION:
        return read_checked_marks(run, recipe, folds, progress)
    data, allow_empty = run.read_data(recipe)
    for number in folds:
        divide(data.cases, recipe.folds, recipe.seed).held_out(number)  # a wrong fold is told before all is read
    reading = read_cases(data.cases, progress, recipe)
    fold = folds[0] if len(folds) == 1 else None
    report = check_data(data, reading, recipe, fold=fold, allow_empty=allow_empty)
    write_json(run.check, {"data": str(data.path)} | report.to_json())
    return CheckedData(data.path, reading, divide_read(data.cases, reading, recipe), report)


def train_fold(
    fold: FoldFolder,
    recipe: Recipe,
    data: CheckedData,
    hardware: Hardware,
    progress: Progress,
    *,
    ranks: Ranks = ALONE,
    resume: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Train with one fold held out; the best score.

    Parameters
    ----------
    hardware, ranks, resume, clock:
        See ``Trainer``.

    Raises
    ------
    SettingsError
        See ``Trainer`` and ``find_teacher``.
    """
    training, held_out = (
        [data.reading.samples[case.id] for case in cases]
        for cases in (data.division.training(fold.number), data.division.held_out(fold.number))
    )
    learner, own = start_network(recipe), {}
    if recipe.teacher.model:
        recipe, teacher = find_teacher(recipe)
        own["teacher"] = hardware.place(teacher, flat=recipe.flat)
    task: Task = TASKS[recipe.task](recipe, training, held_out, precision=hardware.precision, ranks=ranks, **own)
    trainer = Trainer(
        replace(recipe, fold=fold.number),
        fold,
        task,
        learner,
        hardware=hardware,
        ranks=ranks,
        observers=observers_of(fold) if ranks.leads else (),
        resume=resume,
        clock=clock,
    )
    if ranks.leads:
        fold.write_split(data.path, data.division, fold.number)
        if learner.report:
            write_json(fold.start, learner.report.to_json())
            LOG.warning(learner.report.text())
        pictured = [sample for sample in training if isinstance(sample, Sample)]
        if pictured and not fold.last.exists():
            batches = [task.batch(step) for step in range(SHEET_BATCHES)]
            write_contact_sheet(fold.contact_sheet, batch_sheet(recipe, batches, plain_crop(pictured, recipe)))
    return trainer.run(progress)


def observers_of(fold: FoldFolder) -> tuple[RunObserver, ...]:
    """Who draws and logs the curves of a training."""
    return (
        CurvesPicture(fold.curves, fold.curves_picture),
        TensorBoardLog(fold.tensorboard, LOG.warning),
    )


def evaluate_fold(fold: FoldFolder, bar: Bar, weights: str = HALF) -> dict[str, Any]:
    """Export a training's best weights and evaluate them on its held-out cases; the numbers without mirroring.

    Parameters
    ----------
    weights:
        What a segmentation's are stored as, one of ``WEIGHTS_TYPES``: the numbers are those of the file.

    Raises
    ------
    FileReadError
        Its data has gone.
    """
    evaluate = {CLASSIFICATION: evaluate_classifier, DETECTION: evaluate_detector}.get(Recipe.read(fold.recipe).task)
    if evaluate is not None:
        return evaluate(fold, fold.validation / PLAIN, bar)
    cases = fold.cases("held_out")
    shutil.rmtree(fold.model, ignore_errors=True)
    recipe = export_bundle(fold, fold.model, weights)
    passes = {"off": PLAIN, "on": MIRRORED} if recipe.inference.get("mirror_axes") else {"off": PLAIN}
    numbers = {}
    for word, place in passes.items():
        mirror = place == MIRRORED
        with bar(f"Evaluating fold {fold.number}{' with mirroring' * mirror}") as progress:
            report = evaluate_bundle(fold.model, cases, recipe, fold.validation / place, progress, mirror=mirror)
        numbers[word] = summarise(report)
    metrics = {{"off": "held_out", "on": "held_out_mirrored"}[word]: found for word, found in numbers.items()}
    complete_bundle(fold.model, metrics, card_text(recipe, fold, numbers))
    return numbers["off"]


def summarise_folds(run: RunFolder) -> dict[str, Any]:
    """The held-out cases of all evaluated folds together, into ``out_of_fold.json``: every case once.

    Raises
    ------
    FileReadError
        No fold has been trained, or one was not evaluated.
    """
    task = Recipe.read(run.folds[0].recipe).task
    together = {CLASSIFICATION: summarise_classifiers, DETECTION: summarise_detectors}.get(task)
    if together is not None:
        return together(run, [fold.validation / PLAIN for fold in run.folds])
    report = merge_reports([read_report(fold.validation / PLAIN) for fold in run.folds])
    write_json(run.out_of_fold, report)
    return summarise(report)


def export_run(run: RunFolder, bundle: Path, bar: Bar, *, comparing: bool = False, weights: str = HALF) -> None:
    """The run's model, with its numbers and its self-check: one network, or one of each fold as an ensemble.

    Folds that were not evaluated since their last training, with weights of that type, are evaluated first.

    Parameters
    ----------
    comparing:
        Also measure what smaller weights and half precision cost, for the card.
    weights:
        What they are stored as, one of ``WEIGHTS_TYPES``.

    Raises
    ------
    SettingsError
        It cannot be compared, because there are several folds or it is no segmentation; which also has no choice of
        the weights' type.
    FileReadError
        No fold has been trained, or its data has gone.
    OutputError
        There is something else in the bundle's folder.
    """
    folds = run.folds
    if comparing:
        _one_of(folds, "precisions of")
    if weights not in WEIGHTS_TYPES:
        raise SettingsError(f"Expected weights stored in {', '.join(WEIGHTS_TYPES)}, got {weights!r}.")
    task = Recipe.read(folds[0].recipe).task
    if weights != HALF and task != SEGMENTATION:
        raise SettingsError(f"Expected a segmentation to store weights in {weights} of, got a {task}; leave it out.")
    for fold in folds:
        if not is_evaluated(fold, weights):
            evaluate_fold(fold, bar, weights)
    with replacing_model(bundle) as temporary:
        assemble_model(folds, temporary, summarise_folds(run) if len(folds) > 1 else None)
        if comparing:
            with bar("Comparing precisions") as progress:
                rows = compare_precisions(folds[0], temporary, progress, weights)
            add_to_cards([temporary], rows)
            judge_half_precision(temporary, rows, weights)
        package = ModelPackage.read(temporary)
        with bar("Making the self-check") as progress:
            make_self_check(package, progress)


def compare_run(
    run: RunFolder, models: Sequence[str], bar: Bar, *, precision: str = "auto", on_cards: bool = False
) -> list[Measured]:
    """Models side by side on the held-out cases of a run, each against the first.

    Parameters
    ----------
    models:
        By id or folder.
    precision:
        As in ``SegmentationSettings``.
    on_cards:
        Put the table on the cards of all but the first.

    Raises
    ------
    SettingsError
        There are several folds, it is no segmentation, or a model has other labels or no card.
    FileReadError
        Nothing has been trained, or its data has gone.
    """
    fold = _one_of(run.folds, "models on")
    packages = [find_model(model) for model in models]
    smaller = [package.folder for package in packages[1:]]
    if on_cards:
        check_cards(smaller)
    with bar("Comparing models") as progress:
        rows = compare_models(fold, packages, progress, precision)
    if on_cards:
        add_to_cards(smaller, rows)
    return rows


def _one_of(folds: Sequence[FoldFolder], what: str) -> FoldFolder:
    """The one fold: the networks of several have seen one another's held-out cases."""
    if len(folds) > 1:
        raise SettingsError(f"Expected a run of one fold to compare {what}, got {len(folds)}; leave it out.")
    return folds[0]


def evaluate_test(run: RunFolder, bar: Bar) -> dict[str, Any]:
    """The run's model on the test cases, which may be done once: a second look would be a choice made on them.

    Raises
    ------
    SettingsError
        There are no test cases, or they have been looked at.
    """
    place = run.test / PLAIN
    if (place / REPORT).exists():
        raise SettingsError(
            f"The test cases were evaluated already: see {place / REPORT}. A change made after that, and a second "
            "evaluation, would make the numbers too good; keep new cases for another test."
        )
    folds = run.folds
    recipe = Recipe.read(folds[0].recipe)
    first = folds[0]
    readers: Mapping[str, Callable[[str], Sequence[Any]]]
    readers = {SEGMENTATION: first.cases, CLASSIFICATION: first.images, DETECTION: first.marked}
    cases = readers[recipe.task]("test")
    if not cases:
        raise SettingsError("The data has no test cases: expected 'test' in the column 'split' of a table.")
    with tempfile.TemporaryDirectory() as temporary:
        bundle = Path(temporary) / "model"
        for fold in folds:
            if not is_evaluated(fold):
                evaluate_fold(fold, bar)
        assemble_model(folds, bundle, None)
        if recipe.task == CLASSIFICATION:
            return evaluate_test_images(folds[0], bundle, place, bar)
        with bar("Evaluating the test cases") as progress:
            if recipe.task == DETECTION:
                return evaluate_images(bundle, cases, place, progress)
            return summarise(evaluate_bundle(bundle, cases, recipe, place, progress))


def is_evaluated(fold: FoldFolder, weights: str = HALF) -> bool:
    """Whether the training was evaluated since its best weights were written, with weights of that type."""
    card = fold.model / CARD
    if not card.exists() or card.stat().st_mtime < fold.best.stat().st_mtime:
        return False
    return stored_type(fold.model / WEIGHTS) == weights
