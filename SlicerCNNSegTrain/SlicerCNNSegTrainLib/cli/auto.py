"""``cnnseg-train auto``: from data to a model in one go."""

from __future__ import annotations

import argparse
from pathlib import Path

from SlicerCNNSegLib.cli.status import DONE

from .check import add_data_argument
from .export import add_model_argument, export
from .plan import add_recipe_arguments, add_start_arguments, add_wishes, begin
from .run import add_training_arguments, train

EPILOG = """\
examples:
  cnnseg-train auto DATA -o MODEL --minutes 30
  cnnseg-train auto DATA -o MODEL --minutes 30 --resume

The same as 'plan', 'run' and 'export' one after the other. --resume goes on with what was stopped.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``auto`` with its options."""
    parser = subparsers.add_parser(
        "auto",
        help="plan, train and export in one go",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_argument(parser)
    add_model_argument(parser)
    parser.add_argument("--run", type=Path, metavar="RUN", help="folder of the run (default: MODEL-run)")
    add_recipe_arguments(parser)
    add_training_arguments(parser)
    add_wishes(parser)
    add_start_arguments(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Plan, train and export; returns the exit status.

    Raises
    ------
    CNNSegError, KeyboardInterrupt
        What the three commands raise.
    """
    from ..engine.run_folder import RunFolder

    run = RunFolder(options.run or options.output.with_name(f"{options.output.name}-run"))
    if not (options.resume and run.recipe.exists()):
        begin(options, run)
    train(options, run)
    export(run.path, options.output)
    return DONE
