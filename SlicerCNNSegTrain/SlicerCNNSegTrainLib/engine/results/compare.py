"""What smaller weights and half precision cost a segmentation: the held-out cases run each way, for the card."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.evaluation.statistics import paired_difference_interval
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.networks import SEGMENTATION
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, advance
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import save_weights

from ..data.cases import TrainingCase
from ..recipe import Recipe
from ..run_folder import FoldFolder, write_json
from ..training.checkpoint import load_checkpoint
from ..transfer.start import trained_network
from .card import CARD
from .evaluate import what_was_labelled
from .export import WEIGHTS

TRAINED, EXPORTED_HALF = ("float32", "fp32"), ("float16", "bf16")
WAYS = (TRAINED, ("float16", "fp32"), EXPORTED_HALF, ("bfloat16", "bf16"))
"""Type of the weights in the file, and the precision of the run. Models are exported with float16."""

LARGEST_LOSS = 0.001
"""Mean Dice that bfloat16 may cost against the weights as they were trained, to be called as good."""

BEFORE = "## Intended use"
"""The section of the card that the table comes before."""


@dataclass(frozen=True)
class Measured:
    """One way: mean Dice over structures of each case, processor seconds of a case, and size of the weights."""

    weights: str
    precision: str
    dice: tuple[float, ...]
    seconds: float
    megabytes: float


def compare(
    fold: FoldFolder, bundle: Path, progress: Progress, clock: Callable[[], float] = time.process_time
) -> list[Measured]:
    """Run the held-out cases of a fold in each of ``WAYS``, on the CPU.

    Parameters
    ----------
    bundle:
        The fold's exported model.
    clock:
        Seconds; by default of this process's processors.

    Raises
    ------
    SettingsError
        It is no segmentation.
    Cancelled
        The user asked to stop.
    """
    recipe = Recipe.read(fold.recipe)
    if recipe.task != SEGMENTATION:
        raise SettingsError(f"Expected a segmentation to compare precisions of, got a {recipe.task}; leave it out.")
    network, cases = trained_network(recipe, load_checkpoint(fold.best)), fold.cases("held_out")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index, (weights, precision) in enumerate(WAYS):
            model = Path(folder) / weights
            shutil.copytree(bundle, model, dirs_exist_ok=True)
            save_weights(network, model / WEIGHTS, getattr(torch, weights))
            settings = SegmentationSettings(str(model), device="cpu", precision=precision)
            run(settings, _images(cases[0]), NoProgress())  # loads the model, which no case is to pay for
            dice, seconds = [], 0.0
            for n, case in enumerate(cases):
                advance(progress, (index + n / len(cases)) / len(WAYS), f"{weights} weights in {precision}")
                images = _images(case)
                begin = clock()
                found = run(settings, images, NoProgress()).labelmap
                seconds += clock() - begin
                dice.append(mean_dice(*what_was_labelled(found, read_labelmap(case.label).labelmap, recipe)))
            size = (model / WEIGHTS).stat().st_size / 1e6
            rows.append(Measured(weights, precision, tuple(dice), seconds / len(cases), size))
    return rows


def mean_dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice, 2 |A and B| / (|A| + |B|), averaged over the labels that either has; 1 where both are empty."""
    values = np.union1d(np.unique(found), np.unique(truth))
    masks = [(found == value, truth == value) for value in values[values > 0]]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in masks])) if masks else 1.0


def add_comparison(bundle: Path, rows: Sequence[Measured]) -> None:
    """Put the table on the model's card, and ``half_precision`` into its metadata where it costs next to nothing."""
    card, path = bundle / CARD, bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["cnnseg"]["half_precision"] = as_good(rows)
    text = card.read_text(encoding="utf-8")
    with replacing(card) as temporary:
        temporary.write_text(text.replace(BEFORE, "\n".join([*table(rows), "", BEFORE]), 1), encoding="utf-8")
    write_json(path, metadata)


def as_good(rows: Sequence[Measured]) -> bool:
    """Whether the exported weights in bfloat16 lose at most ``LARGEST_LOSS`` against those of the training."""
    dice = _by_way(rows)
    return float(np.mean(dice[TRAINED]) - np.mean(dice[EXPORTED_HALF])) <= LARGEST_LOSS


def table(rows: Sequence[Measured]) -> list[str]:
    """The section of the card, as lines of Markdown."""
    first = rows[0]
    lines = [
        "## Smaller and faster",
        "",
        f"The {len(first.dice)} held-out cases on a CPU, {torch.get_num_threads()} thread(s); seconds of processors",
        "for the run of a case; differences of Dice are paired, with 95 % bootstrap intervals.",
        "`cnnseg-train export RUN -o MODEL --compare`",
        "",
        "| weights | computed in | Dice | difference | s | MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row.weights, row.precision, f"{np.mean(row.dice):.4f}", _difference(first, row)]
        lines.append(f"| {' | '.join([*cells, f'{row.seconds:.2f}', f'{row.megabytes:.2f}'])} |")
    return lines


def _difference(first: Measured, row: Measured) -> str:
    """How much better a way is than the first."""
    if row is first:
        return "-"
    text = f"{np.mean(row.dice) - np.mean(first.dice):+.5f}"
    interval = paired_difference_interval(row.dice, first.dice)
    return text if interval is None else f"{text} ({interval.low:+.5f} to {interval.high:+.5f})"


def _by_way(rows: Sequence[Measured]) -> Mapping[tuple[str, str], tuple[float, ...]]:
    return {(row.weights, row.precision): row.dice for row in rows}


def _images(case: TrainingCase) -> list[Volume]:
    return [read_volume(path) for path in case.images]
