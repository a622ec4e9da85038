"""``cnnseg-train compare``: models side by side on the held-out cases of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from SlicerCNNSegLib.cli.status import DONE

from .progress import BarProgress

EPILOG = """\
examples:
  cnnseg-train compare RUN MODEL MODEL_IN_INT8 PRUNED_MODEL
  cnnseg-train compare RUN hippocampus-mr PRUNED_MODEL --card

Take a run whose held-out cases no model was trained on: one that was pruned from it, or learned from it, has the same.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``compare`` with its options."""
    parser = subparsers.add_parser(
        "compare",
        help="compare segmentations on the held-out cases of a run",
        description="Segment the held-out cases of RUN with each model on the CPU, and print mean Dice with its "
        "interval, its paired difference to the first model's, processor seconds of a case and megabytes of weights.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run of one fold")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model by id or folder; the first is the measure")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "bf16", "fp32"), help="of the runs (default: %(default)s)"
    )
    parser.add_argument(
        "--card", action="store_true", help="also put the table on the card of each model but the first"
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Compare, and print; returns the exit status.

    Raises
    ------
    CNNSegError
        Nothing has been trained, its data has gone, or a model is not there or for something else.
    """
    from ..engine.results.compare import table
    from ..engine.run_folder import RunFolder
    from ..engine.workflow import compare_run

    run = RunFolder(options.run)
    rows = compare_run(run, options.models, BarProgress, precision=options.precision, on_cards=options.card)
    print("\n".join(table(rows)))
    return DONE
