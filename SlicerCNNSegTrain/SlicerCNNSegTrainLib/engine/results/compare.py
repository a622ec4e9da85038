"""Segmentations side by side on held-out cases: what smaller weights, half precision or smaller networks cost."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.evaluation.statistics import Interval, mean_interval, paired_difference_interval
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.networks import SEGMENTATION
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, SubProgress, advance
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import save_weights, stored_type

from ..data.cases import TrainingCase
from ..recipe import Recipe
from ..run_folder import FoldFolder, write_json
from ..training.checkpoint import load_checkpoint
from ..transfer.start import trained_network
from .card import CARD
from .evaluate import what_was_labelled
from .export import HALF, WEIGHTS

HALF_PRECISION = "bf16"
TRAINED = ("float32", "fp32")
WAYS = (TRAINED, (HALF, "fp32"), (HALF, HALF_PRECISION), ("bfloat16", HALF_PRECISION), ("int8", HALF_PRECISION))
"""Type of the weights in the file, and the precision of the run."""

LARGEST_LOSS = 0.001
"""Mean Dice that bfloat16 may cost against the weights as they were trained, to be called as good."""

BEFORE = "## Intended use"
"""The section of the card that the table comes before."""

PRECISIONS = "## Smaller and faster", "cnnseg-train export RUN -o MODEL --compare"
MODELS = "## Beside other models", "cnnseg-train compare RUN MODEL MODEL ... --card"
"""Titles of the two kinds of table on the card, and the commands that they come from."""

Clock = Callable[[], float]
"""Seconds; those of this process's processors are what counts."""


@dataclass(frozen=True)
class Measured:
    """One way to segment: mean Dice over structures of each case, processor seconds of a case, and size of the weights.

    ``model`` is empty where it is always the same.
    """

    weights: str
    precision: str
    dice: tuple[float, ...]
    seconds: float
    megabytes: float
    model: str = ""


def compare_precisions(
    fold: FoldFolder, bundle: Path, progress: Progress, weights: str = HALF, clock: Clock = time.process_time
) -> list[Measured]:
    """Run the held-out cases of a fold in each of ``WAYS``, on the CPU.

    Parameters
    ----------
    bundle:
        The fold's exported model.
    weights:
        What its weights are stored as: half precision is tried with these, too.

    Raises
    ------
    SettingsError
        It is no segmentation.
    Cancelled
        The user asked to stop.
    """
    recipe = _recipe_of(fold)
    network, cases = trained_network(recipe, load_checkpoint(fold.best)), fold.cases("held_out")
    ways = list(dict.fromkeys([*WAYS, (weights, HALF_PRECISION)]))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index, (stored, precision) in enumerate(ways):
            model = Path(folder) / stored
            shutil.copytree(bundle, model, dirs_exist_ok=True)
            save_weights(network, model / WEIGHTS, getattr(torch, stored))
            part = SubProgress(progress, index / len(ways), (index + 1) / len(ways))
            rows.append(_measure(ModelPackage.read(model), precision, cases, recipe, part, clock))
    return rows


def compare_models(
    fold: FoldFolder,
    models: Sequence[ModelPackage],
    progress: Progress,
    precision: str = "auto",
    clock: Clock = time.process_time,
) -> list[Measured]:
    """Run the held-out cases of a fold with each of several models, on the CPU.

    Whether a model has seen these cases nobody can tell from its files.

    Raises
    ------
    SettingsError
        The fold is no segmentation, or a model has other labels.
    Cancelled
        The user asked to stop.
    """
    recipe = _recipe_of(fold)
    for package in models:
        values = tuple(label.value for label in package.labels)
        if package.task != SEGMENTATION or sorted(values) != sorted(recipe.label_values):
            raise SettingsError(
                f"Expected segmentations with the run's label values {recipe.label_values} to compare, but "
                f"{package.folder.name} is a {package.task} with {values}; leave it out."
            )
    rows, cases = [], fold.cases("held_out")
    for index, package in enumerate(models):
        part = SubProgress(progress, index / len(models), (index + 1) / len(models))
        rows.append(_measure(package, precision, cases, recipe, part, clock, package.folder.name))
    return rows


def _recipe_of(fold: FoldFolder) -> Recipe:
    recipe = Recipe.read(fold.recipe)
    if recipe.task != SEGMENTATION:
        raise SettingsError(f"Expected a segmentation to compare, got a {recipe.task}; leave it out.")
    return recipe


def _measure(
    package: ModelPackage,
    precision: str,
    cases: Sequence[TrainingCase],
    recipe: Recipe,
    progress: Progress,
    clock: Clock,
    name: str = "",
) -> Measured:
    """Segment the cases with a model, as users do, and compare with their labels."""
    settings = SegmentationSettings(str(package.folder), device="cpu", precision=precision)
    stored = stored_type(package.weights_files[0]) if package.weights_files[0].suffix == ".safetensors" else "-"
    used = run(settings, _images(cases[0]), NoProgress()).record.precision  # loads it, which no case is to pay for
    dice, seconds = [], 0.0
    for n, case in enumerate(cases):
        advance(progress, n / len(cases), f"{name or stored} in {used}")
        images = _images(case)
        begin = clock()
        found = run(settings, images, NoProgress()).labelmap
        seconds += clock() - begin
        dice.append(mean_dice(*what_was_labelled(found, read_labelmap(case.label).labelmap, recipe)))
    return Measured(stored, used, tuple(dice), seconds / len(cases), package.size_bytes / 1e6, name)


def mean_dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice, 2 |A and B| / (|A| + |B|), averaged over the labels that either has; 1 where both are empty."""
    values = np.union1d(np.unique(found), np.unique(truth))
    masks = [(found == value, truth == value) for value in values[values > 0]]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in masks])) if masks else 1.0


def add_to_cards(bundles: Sequence[Path], rows: Sequence[Measured]) -> None:
    """Put the table on the cards of models; one of the same title that is there is replaced.

    Raises
    ------
    SettingsError
        A model has no card; none is written then.
    """
    check_cards(bundles)
    section = table(rows)
    for bundle in bundles:
        card = bundle / CARD
        text = card.read_text(encoding="utf-8")
        text = re.sub(rf"^{re.escape(section[0])}\n.*?(?=^## |\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
        before, heading, after = text.partition(BEFORE)
        with replacing(card) as temporary:
            temporary.write_text(before + "\n".join([*section, "", heading]) + after, encoding="utf-8")


def check_cards(bundles: Sequence[Path]) -> None:
    """See that models have cards.

    Raises
    ------
    SettingsError
        One has none.
    """
    without = [bundle.name for bundle in bundles if not (bundle / CARD).is_file()]
    if without:
        raise SettingsError(f"Expected models with a card ({CARD}) to put the table on, but {without[0]} has none.")


def judge_half_precision(bundle: Path, rows: Sequence[Measured], weights: str = HALF) -> None:
    """Write ``half_precision`` into a model's metadata: whether it costs next to nothing."""
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["cnnseg"]["half_precision"] = as_good(rows, weights)
    write_json(path, metadata)


def as_good(rows: Sequence[Measured], weights: str = HALF) -> bool:
    """Whether the exported weights in bfloat16 lose at most ``LARGEST_LOSS`` against those of the training."""
    dice = {(row.weights, row.precision): row.dice for row in rows}
    return float(np.mean(dice[TRAINED]) - np.mean(dice[weights, HALF_PRECISION])) <= LARGEST_LOSS


def table(rows: Sequence[Measured]) -> list[str]:
    """The section of the card, as lines of Markdown."""
    named = any(row.model for row in rows)
    title, command = MODELS if named else PRECISIONS
    columns = [*["model"] * named, "weights", "computed in", "Dice", "difference", "s", "MB"]
    lines = [
        title,
        "",
        f"The {len(rows[0].dice)} held-out cases on a CPU, {torch.get_num_threads()} thread(s); seconds of processors",
        "for the run of a case; differences of Dice to the first are paired, with 95 % bootstrap intervals.",
        f"`{command}`",
        "",
        f"| {' | '.join(columns)} |",
        "| --- " * len(columns) + "|",
    ]
    for row in rows:
        dice = f"{np.mean(row.dice):.4f}{_words(mean_interval(row.dice), '.4f')}"
        cells = [row.weights, row.precision, dice, _difference(rows[0], row)]
        cells += [f"{row.seconds:.2f}", f"{row.megabytes:.2f}"]
        lines.append(f"| {' | '.join([*[row.model] * named, *cells])} |")
    return lines


def _difference(first: Measured, row: Measured) -> str:
    """How much better a way is than the first."""
    if row is first:
        return "-"
    interval = paired_difference_interval(row.dice, first.dice)
    return f"{np.mean(row.dice) - np.mean(first.dice):+.5f}{_words(interval, '+.5f')}"


def _words(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f" ({interval.low:{form}} to {interval.high:{form}})"


def _images(case: TrainingCase) -> list[Volume]:
    return [read_volume(path) for path in case.images]
