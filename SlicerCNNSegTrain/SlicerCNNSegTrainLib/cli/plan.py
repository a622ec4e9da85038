"""``cnnseg-train plan``: from data to a run's folder with a recipe in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE

from .check import add_data_argument
from .progress import BarProgress
from .smaller import add_smaller_arguments, full_path, pruned_runs_recipe, smaller
from .task import task_to_plan

if TYPE_CHECKING:
    from ..engine.data.cases import TrainingData
    from ..engine.data.label_choice import LabelChoice
    from ..engine.planning.plan import Plan
    from ..engine.recipe import Recipe
    from ..engine.recipe_parts import Start
    from ..engine.run_folder import RunFolder

EPILOG = """\
examples:
  cnnseg-train plan DATA -o RUN --minutes 30
  cnnseg-train plan DATA -o RUN --recipe hippocampus-mr
  cnnseg-train plan DATA -o RUN --labels liver "lesion=tumour+cyst"
  cnnseg-train plan DATA -o SMALL --from RUN --keep 0.5 --teacher RUN
  cnnseg-train run RUN

Without --recipe the cases are read, and the recipe follows from what they are like, from the minutes, the memory
and the speed of this machine. RUN/recipe.json says everything that decides the result, RUN/plan.json why. Edit the
recipe, then train with 'cnnseg-train run RUN'.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``plan`` with its options."""
    parser = subparsers.add_parser(
        "plan",
        help="make a run's folder: where the data is, and how to train on it",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_argument(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run, to be made")
    add_recipe_arguments(parser)
    add_wishes(parser)
    add_start_arguments(parser)
    parser.add_argument("--device", default="auto", help="what the run will be trained on (default: %(default)s)")
    parser.set_defaults(execute=execute)


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to start from."""
    group = parser.add_argument_group("starting from another model")
    group.add_argument("--from", dest="start", metavar="MODEL", help="model by id or folder, or the folder of a run")
    group.add_argument("--freeze-encoder", action="store_true", help="leave the encoder's weights as they are")
    group.add_argument("--encoder-rate", type=float, default=1.0, help="the encoder's share of the learning rate")
    group.add_argument("--adapter-rank", type=int, default=0, help="train low-rank adapters of this rank alone")
    add_smaller_arguments(parser)


def add_recipe_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add what decides the recipe; ``required`` where none can be made for the data."""
    default = "" if required else " (default: one made for the data)"
    parser.add_argument("--recipe", required=required, help=f"shipped recipe or recipe file{default}")
    parser.add_argument("--steps", type=int, help="number of training steps")
    parser.add_argument("--minutes", type=float, help="train for so many minutes, instead of a number of steps")
    parser.add_argument("--seed", type=int, help="seed of every random number")


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """Add the task, and what a recipe that is made for the data has to respect."""
    parser.add_argument(
        "--task",
        choices=("segmentation", "detection", "classification"),
        help="what to train, where the data allows several (see 'cnnseg-train labels')",
    )
    group = parser.add_argument_group("without --recipe")
    group.add_argument(
        "--labels",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="names of the labels to learn, in order (default: all); NEW=NAME+NAME learns several as one; "
        "those left out become background",
    )
    group.add_argument("--network", help="registered name (default: DynUNet)")
    group.add_argument("--memory", type=float, default=0.0, metavar="GIB", help="memory to use (default: what is free)")
    group.add_argument(
        "--absent-not-contoured",
        action="store_true",
        help="a structure that a label does not hold was not contoured there; do not learn it as background",
    )


def execute(options: argparse.Namespace) -> int:
    """Make the folder; returns the exit status.

    Raises
    ------
    CNNSegError
        An option is wrong, or the folder holds a run.
    """
    from ..engine.run_folder import RunFolder

    begin(options, RunFolder(options.output))
    print(f"Wrote {options.output / 'recipe.json'}; train with 'cnnseg-train run {options.output}'.")
    return DONE


def begin(options: argparse.Namespace, run: RunFolder) -> None:
    """Make the run's folder by what the options say.

    Raises
    ------
    CNNSegError
        An option is wrong, or the folder holds a run.
    """
    from ..engine.recipe import Recipe
    from ..engine.workflow import begin_run

    options.recipe = options.recipe or pruned_runs_recipe(options)
    plan = None if options.recipe else _plan(options)
    recipe = Recipe.from_json(plan.recipe) if plan else _given_recipe(options)
    recipe = smaller(replace(recipe, **chosen(options), start=_start(options)), options)
    begin_run(run, options.data, recipe, allow_empty=options.allow_empty, plan=plan)


def _given_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe of ``--recipe``, once it has proved to be what else is asked for."""
    from SlicerCNNSegLib.engine.errors import SettingsError

    from ..engine.recipe import Recipe

    recipe = Recipe.read(options.recipe)
    if options.task and options.task != recipe.task:
        raise SettingsError(f"Expected a recipe for a {options.task}, got {options.recipe!r} for a {recipe.task}.")
    if options.labels:
        raise SettingsError(
            f"Expected --labels without --recipe: {options.recipe!r} names its labels; edit them in a copy of it."
        )
    return recipe


def _plan(options: argparse.Namespace) -> Plan:
    """A recipe made for the data, told in words."""
    from ..engine.data.read import read_data
    from ..engine.data.reading import read_cases
    from ..engine.planning.budget import Budget
    from ..engine.planning.plan import plan_data
    from ..engine.planning.wishes import Wishes

    task = task_to_plan(options.data, options.task or "")
    data = read_data(options.data)
    labels = _chosen_labels(data, options.labels)
    with BarProgress("Reading") as bar:
        reading = read_cases(data.cases, bar, relabelled=labels.relabelled if labels else ())
    budget = Budget.here(options.minutes or 0.0, options.steps or 0, options.device, options.memory)
    wishes = Wishes(absent_means_not_contoured=options.absent_not_contoured, labels=labels)
    if options.network:
        wishes = replace(wishes, network=options.network)
    plan = plan_data(data, reading, budget, wishes)
    print(f"{task}\n{plan.text()}")
    return plan


def _chosen_labels(data: TrainingData, words: Sequence[str] | None) -> LabelChoice | None:
    """What ``--labels`` chooses."""
    from ..engine.data.contents import label_names
    from ..engine.data.label_choice import choose_labels

    if not words:
        return None
    with BarProgress("Looking for labels") as bar:
        return choose_labels(words, label_names(data, bar))


def _start(options: argparse.Namespace) -> Start:
    """What the options start from."""
    from ..engine.recipe_parts import Start

    freeze = "encoder" if options.freeze_encoder else ""
    return Start(full_path(options.start or ""), freeze, options.encoder_rate, options.adapter_rank)


def chosen(options: argparse.Namespace) -> dict[str, float]:
    """The recipe's fields that were given as options; steps alone are not stopped by the recipe's minutes."""
    names = ("steps", "minutes", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    return {"minutes": 0.0, **given} if "steps" in given else given
