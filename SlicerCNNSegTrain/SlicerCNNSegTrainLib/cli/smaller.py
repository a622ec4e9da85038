"""Options of a plan that make a smaller model out of a trained one: pruning and distillation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine.recipe import Recipe


def add_smaller_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is kept of the model to start from, and whom to learn from."""
    group = parser.add_argument_group("making a segmentation smaller: pruning (with --from) and distillation")
    group.add_argument(
        "--keep",
        type=float,
        metavar="SHARE",
        help="start with this share of each level's channels, those with the largest weights, and train them on; "
        "without --recipe by that of the run that --from names",
    )
    group.add_argument(
        "--teacher", metavar="MODEL", help="learn what this model says, too: model by id or folder, or folder of a run"
    )
    group.add_argument(
        "--teacher-weight", type=float, default=1.0, help="weight of that in the loss (default: %(default)s)"
    )
    group.add_argument(
        "--temperature", type=float, default=2.0, help="above 1 softens what the teacher says (default: %(default)s)"
    )


def full_path(model: str) -> str:
    """A folder by its full path, so that the run finds it from anywhere; an id as it is."""
    return str(Path(model).resolve()) if model and Path(model).is_dir() else model


def pruned_runs_recipe(options: argparse.Namespace) -> str | None:
    """The recipe of the run that is pruned; None where nothing is.

    Raises
    ------
    SettingsError
        What is pruned is no run.
    """
    from SlicerCNNSegLib.engine.errors import SettingsError

    if options.keep is None or not options.start:
        return None
    recipe = Path(options.start) / "recipe.json"
    if not recipe.is_file():
        raise SettingsError(
            f"Expected --recipe, the one that {options.start} was trained with, or the folder of a run to prune."
        )
    return str(recipe)


def smaller(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with fewer channels and with a teacher, as far as the options say so.

    Raises
    ------
    CNNSegError
        An option is wrong, or a model does not fit.
    """
    from ..engine.recipe_parts import Teacher

    if options.keep is not None:
        from ..engine.transfer.pruning import smaller_recipe

        recipe = smaller_recipe(recipe, options.keep)
    if options.teacher:
        from ..engine.transfer.teacher import with_teacher

        teacher = Teacher(full_path(options.teacher), temperature=options.temperature)
        recipe = with_teacher(recipe, teacher, options.teacher_weight)
    return recipe
