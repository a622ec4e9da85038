"""``cnnseg-train export``: from a run's best weights to a model, with its numbers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE

from .progress import BarProgress

if TYPE_CHECKING:
    from ..engine.run_folder import RunFolder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``export`` with its options."""
    parser = subparsers.add_parser("export", help="export the best weights and evaluate them on the held-out cases")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="model folder to write")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Export; returns the exit status.

    Raises
    ------
    CNNSegError
        The folder holds no run that can be exported, or its data has gone.
    """
    from ..engine.run_folder import RunFolder

    export_run(RunFolder(options.run), options.output)
    return DONE


def export_run(folder: RunFolder, bundle: Path) -> None:
    """Write the model, evaluate it on the held-out cases, and complete its metadata, card and self-check."""
    from SlicerCNNSegLib.engine.package import ModelPackage
    from SlicerCNNSegLib.engine.store.self_check import make_self_check

    from ..engine.results.card import complete_bundle
    from ..engine.results.evaluate import evaluate_bundle, in_words, summarise
    from ..engine.results.export import export_bundle

    cases = folder.cases("held_out")
    recipe = export_bundle(folder, bundle)
    numbers = []
    for mirror in (False, True):
        with BarProgress("Evaluating" + " with mirroring" * mirror) as bar:
            place = folder.validation / ("mirrored" if mirror else "plain")
            numbers.append(summarise(evaluate_bundle(bundle, cases, place, bar, mirror=mirror)))
    complete_bundle(bundle, recipe, folder, *numbers)
    with BarProgress("Making the self-check") as bar:
        make_self_check(ModelPackage.read(bundle), bar)
    for name, metrics in numbers[0].items():
        print(f"{name}: Dice {in_words(metrics.get('dice'), 4, '95 % interval ')}")
    print(f"Wrote the model to {bundle}")
