"""``cnnseg-train export``: from a run's best weights to a model, with its numbers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from SlicerCNNSegLib.cli.status import DONE

from .evaluate import print_numbers
from .progress import BarProgress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``export`` with its options."""
    parser = subparsers.add_parser(
        "export",
        help="export the model, with its card and its numbers on the held-out cases",
        description="Export the model of a run; the networks of several trained folds become one ensemble.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    add_model_argument(parser)
    parser.add_argument(
        "--weights",
        default="float16",
        choices=("float32", "float16", "bfloat16", "int8"),
        help="how a segmentation's weights are stored (default: %(default)s); int8 takes a quarter of float32's room "
        "and as much time as the others",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also measure what smaller weights and half precision cost and save, for the card",
    )
    parser.set_defaults(execute=execute)


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Add where the model goes."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="model folder to write")


def execute(options: argparse.Namespace) -> int:
    """Export; returns the exit status.

    Raises
    ------
    CNNSegError
        Nothing has been trained, the data has gone, or the model cannot be written.
    """
    export(options.run, options.output, comparing=options.compare, weights=options.weights)
    return DONE


def export(run: Path, model: Path, *, comparing: bool = False, weights: str = "float16") -> None:
    """Write the model and print its numbers.

    Raises
    ------
    CNNSegError
        See ``execute``.
    """
    from ..engine.run_folder import RunFolder
    from ..engine.workflow import export_run

    export_run(RunFolder(run), model, BarProgress, comparing=comparing, weights=weights)
    metadata = json.loads((model / "configs" / "metadata.json").read_text(encoding="utf-8"))
    title, numbers = next(iter(metadata["eval_metrics"].items()))
    print_numbers(title.replace("_", " ").capitalize(), numbers)
    print(f"Wrote the model to {model}")
