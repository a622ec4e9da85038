"""``cnnseg-train plan``: from data to a run's folder with a recipe in it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE

from .check import add_data_argument
from .progress import BarProgress

if TYPE_CHECKING:
    from ..engine.planning.plan import Plan
    from ..engine.recipe import Start
    from ..engine.run_folder import RunFolder

EPILOG = """\
examples:
  cnnseg-train plan DATA -o RUN --minutes 30
  cnnseg-train plan DATA -o RUN --recipe hippocampus-mr
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


def add_recipe_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add what decides the recipe; ``required`` where none can be made for the data."""
    default = "" if required else " (default: one made for the data)"
    parser.add_argument("--recipe", required=required, help=f"shipped recipe or recipe file{default}")
    parser.add_argument("--steps", type=int, help="number of training steps")
    parser.add_argument("--minutes", type=float, help="train for so many minutes, instead of a number of steps")
    parser.add_argument("--seed", type=int, help="seed of every random number")


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """Add what a recipe that is made for the data has to respect."""
    group = parser.add_argument_group("without --recipe")
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

    plan = None if options.recipe else _plan(options)
    recipe = Recipe.from_json(plan.recipe) if plan else Recipe.read(options.recipe)
    recipe = replace(recipe, **chosen(options), start=_start(options))
    begin_run(run, options.data, recipe, allow_empty=options.allow_empty, plan=plan)


def _plan(options: argparse.Namespace) -> Plan:
    """A recipe made for the data, told in words."""
    from ..engine.data.read import read_data
    from ..engine.data.reading import read_cases
    from ..engine.planning.budget import Budget
    from ..engine.planning.plan import plan_data
    from ..engine.planning.wishes import Wishes

    data = read_data(options.data)
    with BarProgress("Reading") as bar:
        reading = read_cases(data.cases, bar)
    budget = Budget.here(options.minutes or 0.0, options.steps or 0, options.device, options.memory)
    wishes = Wishes(absent_means_not_contoured=options.absent_not_contoured)
    if options.network:
        wishes = replace(wishes, network=options.network)
    plan = plan_data(data, reading, budget, wishes)
    print(plan.text())
    return plan


def _start(options: argparse.Namespace) -> Start:
    """What the options start from; a folder by its full path, so that the run finds it from anywhere."""
    from ..engine.recipe import Start

    model = options.start or ""
    model = str(Path(model).resolve()) if model and Path(model).is_dir() else model
    freeze = "encoder" if options.freeze_encoder else ""
    return Start(model, freeze, options.encoder_rate, options.adapter_rank)


def chosen(options: argparse.Namespace) -> dict[str, float]:
    """The recipe's fields that were given as options."""
    names = ("steps", "minutes", "seed")
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
