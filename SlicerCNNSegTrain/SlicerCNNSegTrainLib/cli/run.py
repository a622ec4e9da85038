"""``cnnseg-train run``: check the data, train, and if wanted export."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE

from .check import add_data_argument
from .export import export_run
from .progress import BarProgress

if TYPE_CHECKING:
    from ..engine.data.reading import Reading
    from ..engine.data.splits import Division
    from ..engine.recipe import Recipe
    from ..engine.run_folder import RunFolder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``run`` with its options."""
    parser = subparsers.add_parser("run", help="train, or go on training")
    add_data_argument(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN", help="folder for checkpoints and curves"
    )
    parser.add_argument(
        "--recipe", default="hippocampus-mr", help="shipped recipe or recipe file (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, help="number of training steps, instead of the recipe's")
    parser.add_argument("--minutes", type=float, help="train for so many minutes, instead of a number of steps")
    parser.add_argument("--fold", type=int, help="which fold to hold out, instead of the recipe's")
    parser.add_argument("--seed", type=int, help="seed of every random number, instead of the recipe's")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN")
    parser.add_argument("--export", type=Path, metavar="MODEL", help="export and evaluate the model when done")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Check, train, and if wanted export; returns the exit status.

    Raises
    ------
    CNNSegError
        An option is wrong, the data has errors, or RUN holds another run.
    KeyboardInterrupt
        The user stopped; a checkpoint is there.
    """
    from ..engine.recipe import Recipe
    from ..engine.run_folder import RunFolder
    from ..engine.training.trainer import Trainer

    given = {
        name: getattr(options, name)
        for name in ("steps", "minutes", "fold", "seed")
        if getattr(options, name) is not None
    }
    recipe = replace(Recipe.read(options.recipe), **given)
    folder = RunFolder(options.output)
    reading, division = _checked_data(options.data, recipe, folder, allow_empty=options.allow_empty)
    training, held_out = (
        [reading.samples[case.id] for case in cases]
        for cases in (division.training(recipe.fold), division.held_out(recipe.fold))
    )
    trainer = Trainer(recipe, folder, training, held_out, resume=options.resume)
    folder.write_split(options.data, division, recipe.fold)
    with BarProgress("Training", stop_cleanly=True) as bar:
        best = trainer.run(bar)
    if bar.cancelled():
        raise KeyboardInterrupt
    print(f"Best mean Dice on {len(held_out)} held-out cases while training: {best:.4f}")
    if options.export:
        export_run(folder, options.export)
    return DONE


def _checked_data(path: Path, recipe: Recipe, folder: RunFolder, *, allow_empty: bool) -> tuple[Reading, Division]:
    """The data, read and checked in one pass, and its division; findings go to stderr and into the run's folder."""
    from ..engine.checking.check import check_data, divide_read
    from ..engine.data.read import read_data
    from ..engine.data.reading import read_cases
    from ..engine.data.splits import divide
    from ..engine.results.export import write_json

    data = read_data(path, recipe.channel_names)
    divide(data.cases, recipe.folds, recipe.seed).held_out(recipe.fold)  # a wrong fold is told before all is read
    with BarProgress("Reading") as bar:
        reading = read_cases(data.cases, bar, recipe)
    report = check_data(data, reading, recipe, fold=recipe.fold, allow_empty=allow_empty)
    write_json(folder.check, {"data": str(path)} | report.to_json())
    for finding in report.findings:
        sys.stderr.write(f"{finding.severity} ({finding.kind}): {finding.text}\n")
    report.stop_at_errors()
    return reading, divide_read(data.cases, reading, recipe)
