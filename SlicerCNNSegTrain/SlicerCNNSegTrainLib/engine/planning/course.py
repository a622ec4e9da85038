"""The course of a planned training: steps, validations, and what depends on how many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .budget import VALIDATION, Budget
from .cost import BACKWARD
from .fingerprint import Fingerprint
from .size import Size, step_seconds

MOST_FOLDS = 5
FEWEST_PER_FOLD = 2
"""Patients that a fold holds at least where there are so few."""

MOST_STEPS = 250_000
"""nnU-Net's; beyond, little is gained."""

MOST_VALIDATIONS = 20

OVERLAP, SMALLER_OVERLAP = 0.5, 0.25
"""Of windows: nnU-Net's, and one that needs about 3 times fewer windows."""

LARGE_VALIDATION = 0.05
"""Share of the time from which on one validation is too much for ``OVERLAP``."""

AVERAGED = 6.0
"""The weights' average reaches back over about a sixth of the steps, as in the shipped recipe."""

WARMUP = 15
"""The learning rate rises over about a fifteenth of the steps, as in the shipped recipe."""


@dataclass(frozen=True)
class Course:
    """What was chosen.

    Parameters
    ----------
    steps:
        That are expected, or to be made where no minutes are given.
    step_s, validation_s:
        Seconds that a step and a validation are expected to take.
    folds, held_out:
        Number of folds, cases in one.
    overlap, windows:
        Of windows over an image, and how many windows that makes.
    validate_every, warmup_steps, ema_decay:
        See the recipe.
    """

    steps: int
    step_s: float
    validation_s: float
    folds: int
    held_out: int
    overlap: float
    windows: int
    validate_every: int
    warmup_steps: int
    ema_decay: float


def plan_course(fingerprint: Fingerprint, size: Size, budget: Budget) -> Course:
    """Steps and validations that fit into the budget."""
    step_s = step_seconds(size.cost, size.batch, budget)
    if budget.steps and not budget.minutes:
        steps, total_s = budget.steps, budget.steps * step_s / (1 - VALIDATION)
    else:
        steps, total_s = max(1, int(budget.training_s / step_s)), 60 * budget.planned_minutes
    if not budget.minutes:
        steps = min(MOST_STEPS, steps)
    steps = int(float(f"{steps:.2g}")) if steps >= 100 and not budget.steps else steps
    folds = max(2, min(MOST_FOLDS, fingerprint.patients // FEWEST_PER_FOLD))
    held_out = fingerprint.held_out or math.ceil(fingerprint.cases / folds)
    window_s = step_s / (1 + BACKWARD) / size.batch
    for overlap in (OVERLAP, SMALLER_OVERLAP):
        windows = count_windows(size, overlap)
        validation_s = held_out * windows * window_s
        if validation_s <= LARGE_VALIDATION * total_s:
            break
    validations = int(np.clip(VALIDATION * total_s / validation_s, 1, MOST_VALIDATIONS))
    return Course(
        steps=steps,
        step_s=step_s,
        validation_s=validation_s,
        folds=folds,
        held_out=held_out,
        overlap=overlap,
        windows=windows,
        validate_every=max(1, steps // validations),
        warmup_steps=max(1, steps // WARMUP),
        ema_decay=round(float(np.clip(1 - AVERAGED / steps, 0.9, 0.9995)), 4),
    )


def count_windows(size: Size, overlap: float) -> int:
    """Windows over the median image."""
    counts = [
        1 if n <= w else math.ceil((n - w) / max(1, int(w * (1 - overlap)))) + 1
        for n, w in zip(size.image, size.window, strict=True)
    ]
    return math.prod(counts)
