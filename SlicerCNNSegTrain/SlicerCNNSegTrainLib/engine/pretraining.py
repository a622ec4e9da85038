"""A run without labels: what it learns is a start for one with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import Progress, advance
from SlicerCNNSegLib.engine.volume import Volume

from .data.unlabelled import UnlabelledCase
from .recipe import Recipe
from .run_folder import RunFolder
from .training.hardware import Hardware
from .training.ranks import ALONE, Ranks
from .training.samples import Sample
from .training.trainer import Trainer
from .transfer.masking import PretrainingTask, pretext_definition, unlabelled_sample
from .transfer.start import start_network
from .workflow import observers_of

FEWEST_CASES = 2
"""One to learn from, one to measure on."""


def read_images(cases: Sequence[UnlabelledCase], recipe: Recipe, progress: Progress) -> list[Sample]:
    """Bring the images into network space.

    Raises
    ------
    InputError
        An image cannot be read.
    """
    samples = []
    for index, case in enumerate(cases):
        advance(progress, index / len(cases), f"Reading {case.id}")
        image = Volume.stacked([read_volume(path) for path in case.images])
        samples.append(unlabelled_sample(case.id, recipe.prepared.prepare(image)[0]))
    return samples


def pretrain(
    run: RunFolder,
    recipe: Recipe,
    samples: Sequence[Sample],
    hardware: Hardware,
    progress: Progress,
    *,
    ranks: Ranks = ALONE,
    resume: bool = False,
) -> float:
    """Train the recipe's network to fill in hidden parts of the images; the share of their variance it explains.

    One of the recipe's ``folds`` of the cases, shuffled with its seed, is held out.

    Raises
    ------
    SettingsError
        There are too few images, or see ``Trainer``.
    """
    if len(samples) < FEWEST_CASES:
        raise SettingsError(f"Expected at least {FEWEST_CASES} images to pretrain on, got {len(samples)}.")
    pretext = replace(recipe, network=pretext_definition(recipe.network))
    order = np.random.default_rng(recipe.seed).permutation(len(samples))
    away = max(1, len(samples) // recipe.folds)
    held_out, training = ([samples[index] for index in part] for part in (order[:away], order[away:]))
    fold = run.fold(0)
    task = PretrainingTask(pretext, training, held_out, precision=hardware.precision, ranks=ranks)
    trainer = Trainer(
        pretext,
        fold,
        task,
        start_network(pretext),
        hardware=hardware,
        ranks=ranks,
        observers=observers_of(fold) if ranks.leads else (),
        resume=resume,
    )
    return trainer.run(progress)
