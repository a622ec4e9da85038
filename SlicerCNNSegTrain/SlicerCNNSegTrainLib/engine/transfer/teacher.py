"""The trained model that another one learns from: found, checked, and made ready to be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import fill

from ..recipe import Recipe
from ..recipe_parts import Start, Teacher
from .purpose import Purpose
from .source import SHOWN_DIGITS, Source, resolve_source

TERM = "distillation"
"""The loss's term that a teacher is for."""


def with_teacher(recipe: Recipe, teacher: Teacher, weight: float) -> Recipe:
    """The recipe with a teacher, whose weights are kept by their checksum, and a weight of it in the loss.

    Raises
    ------
    SettingsError
        The weight is not above 0, or the teacher is not there or for something else.
    """
    if not weight > 0:
        raise SettingsError(f"Expected a weight of the teacher above 0, got {weight:g}.")
    source = _checked_source(recipe, teacher)
    known = replace(teacher, sha256=source.sha256)
    return replace(recipe, teacher=known, loss={**recipe.loss, TERM: weight})


def find_teacher(recipe: Recipe) -> tuple[Recipe, torch.nn.Module]:
    """The recipe with its teacher's checksum, and the teacher's network, which does not learn.

    Raises
    ------
    SettingsError
        The teacher is not there, is for something else, or has other weights than the recipe says.
    WeightsError
        The weights cannot be read, or are not those of the network.
    """
    teacher = recipe.teacher
    source = _checked_source(recipe, teacher)
    if teacher.sha256 not in ("", source.sha256):
        raise SettingsError(
            f"Expected a teacher {teacher.model} with sha256 {teacher.sha256[:SHOWN_DIGITS]}, by the recipe, got "
            f"{source.sha256[:SHOWN_DIGITS]}; put the model back, or plan another run with this one."
        )
    with torch.random.fork_rng(devices=[]):
        network = build_network(Purpose.of(source, "learn from").network)
    fill(network, source.state, Path(teacher.model))
    return replace(recipe, teacher=replace(teacher, sha256=source.sha256)), network.eval().requires_grad_(False)


def _checked_source(recipe: Recipe, teacher: Teacher) -> Source:
    source = resolve_source(Start(teacher.model))
    Purpose.of(source, "learn from").check_for(recipe, source, "learn from")
    return source
