"""``cnnseg-train run``: train the folds of a run, or go on training them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE

from .progress import BarProgress

if TYPE_CHECKING:
    from ..engine.recipe import Recipe
    from ..engine.run_folder import RunFolder

EPILOG = """\
examples:
  cnnseg-train run RUN
  cnnseg-train run RUN --minutes 30
  cnnseg-train run RUN --folds all --resume
  torchrun --nproc-per-node 2 -m SlicerCNNSegTrainLib.cli.main run RUN

Under torchrun each batch is divided among the processes; after a failure torchrun starts them again, and
they go on from the last checkpoint. Ctrl-C stops after the step under way, with a checkpoint.
"""

ALL = "all"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``run`` with its options."""
    parser = subparsers.add_parser(
        "run",
        help="train, or go on training",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, made by 'plan'")
    parser.add_argument("--steps", type=int, help="number of training steps; replaces the one in RUN/recipe.json")
    parser.add_argument(
        "--minutes", type=float, help="train for so many minutes, all folds together; replaces RUN/recipe.json's steps"
    )
    add_training_arguments(parser)
    parser.set_defaults(execute=execute)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which folds are trained, and on what."""
    parser.add_argument(
        "--folds", metavar="N,N|all", help="folds to hold out, one training for each (default: the recipe's fold)"
    )
    add_device_arguments(parser)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add whether to go on, and what to compute on."""
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")


def execute(options: argparse.Namespace) -> int:
    """Check the data, and train; returns the exit status.

    Raises
    ------
    CNNSegError
        An option is wrong, the data has errors, or a fold holds another training.
    KeyboardInterrupt
        The user stopped; a checkpoint is there.
    """
    from ..engine.run_folder import RunFolder

    train(options, RunFolder(options.run))
    return DONE


def train(options: argparse.Namespace, run: RunFolder) -> None:
    """Train the folds that the options name.

    Raises
    ------
    CNNSegError, KeyboardInterrupt
        See ``execute``.
    """
    from ..engine.run_folder import write_json
    from ..engine.training.hardware import Hardware
    from ..engine.training.ranks import join_ranks, restarted
    from ..engine.workflow import read_checked, train_fold

    recipe = run.read_recipe()
    folds = _folds(options.folds, recipe)
    given = _given(options, len(folds))
    if given:
        recipe = replace(recipe, **given)
    hardware = Hardware.choose(options.device, recipe.precision, int(os.environ.get("LOCAL_RANK", "0")))
    with join_ranks(hardware.device.type) as ranks:
        if given and ranks.leads:
            write_json(run.recipe, recipe.to_json())
        with BarProgress("Reading", shown=ranks.leads) as bar:
            data = read_checked(run, recipe, folds, bar)
        for finding in data.report.findings if ranks.leads else ():
            sys.stderr.write(f"{finding.severity} ({finding.kind}): {finding.text}\n")
        data.report.stop_at_errors()
        for number in folds:
            title = f"Training fold {number}" if len(folds) > 1 else "Training"
            resume = options.resume or restarted()
            with BarProgress(title, stop_cleanly=True, shown=ranks.leads) as bar:
                best = train_fold(run.fold(number), recipe, data, hardware, bar, ranks=ranks, resume=resume)
            if bar.cancelled():
                raise KeyboardInterrupt
            if ranks.leads:
                print(f"Fold {number}: best score on the held-out cases while training {best:.4f}")


def _given(options: argparse.Namespace, folds: int) -> dict[str, float]:
    """What the options change in the recipe; minutes are shared out among the folds."""
    given: dict[str, float] = {}
    if options.steps is not None:
        given |= {"steps": options.steps, "minutes": 0.0}
    if options.minutes is not None:
        given["minutes"] = options.minutes / folds
    return given


def _folds(words: str | None, recipe: Recipe) -> list[int]:
    """The folds that ``--folds`` names.

    Raises
    ------
    SettingsError
        It is neither ``all`` nor a list of numbers.
    """
    from SlicerCNNSegLib.engine.errors import SettingsError

    if words is None:
        return [recipe.fold]
    if words == ALL:
        return list(range(recipe.folds))
    try:
        return sorted({int(word) for word in words.split(",")})
    except ValueError as error:
        raise SettingsError(f"Expected --folds like 0,1 or all, got {words!r}.") from error
