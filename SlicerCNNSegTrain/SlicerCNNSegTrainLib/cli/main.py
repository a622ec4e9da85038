"""The command ``cnnseg-train``: from labelled cases to a model that ``cnnseg`` offers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.status import DONE, STOPPED, one_line, status_of
from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.engine.version import VERSION

if TYPE_CHECKING:
    from ..engine.run_folder import RunFolder

EXAMPLES = """\
examples:
  cnnseg-train run DATA -o RUN --recipe hippocampus-mr --export MODEL
  cnnseg-train run DATA -o RUN --recipe hippocampus-mr --export MODEL --resume
  cnnseg-train export RUN -o MODEL
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``cnnseg-train``; building it imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="cnnseg-train",
        description="Train a segmentation model and export it as a MONAI Bundle.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cnnseg-train {VERSION}")
    parser.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train, or go on training")
    run.add_argument("data", type=Path, metavar="DATA", help="folder with imagesTr and labelsTr (MSD / nnU-Net form)")
    run.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN", help="folder for checkpoints and curves"
    )
    run.add_argument("--recipe", default="hippocampus-mr", help="shipped recipe or recipe file (default: %(default)s)")
    run.add_argument("--steps", type=int, help="number of training steps, instead of the recipe's")
    run.add_argument("--fold", type=int, help="which fold to hold out, instead of the recipe's")
    run.add_argument("--seed", type=int, help="seed of every random number, instead of the recipe's")
    run.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN")
    run.add_argument("--export", type=Path, metavar="MODEL", help="export and evaluate the model when done")
    run.set_defaults(execute=_run)

    export = commands.add_parser("export", help="export the best weights and evaluate them on the held-out cases")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="model folder to write")
    export.set_defaults(execute=_export)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed, 2 usage, 130 stopped."""
    options = build_parser().parse_args(argv)
    try:
        options.execute(options)
    except CNNSegError as error:
        if options.debug:
            raise
        sys.stderr.write(f"cnnseg-train: error: {one_line(error)}\n")
        return status_of(error)
    except KeyboardInterrupt:
        sys.stderr.write("cnnseg-train: stopped; go on with --resume\n")
        return STOPPED
    return DONE


def _run(options: argparse.Namespace) -> None:
    from SlicerCNNSegLib.engine.progress import NoProgress

    from ..engine.loop import Trainer
    from ..engine.recipe import Recipe
    from ..engine.run_folder import RunFolder, divide_data
    from ..engine.samples import load_samples
    from .progress import BarProgress

    given = {name: getattr(options, name) for name in ("steps", "fold", "seed") if getattr(options, name) is not None}
    recipe = replace(Recipe.read(options.recipe), **given)
    folder = RunFolder(options.output)
    training, held_out = divide_data(options.data, recipe)
    with BarProgress("Reading") as bar:
        samples = load_samples(training, recipe, bar)
    trainer = Trainer(recipe, folder, samples, load_samples(held_out, recipe, NoProgress()), resume=options.resume)
    folder.write_split(options.data, training, held_out)
    with BarProgress("Training", stop_cleanly=True) as bar:
        best = trainer.run(bar)
    if bar.cancelled():
        raise KeyboardInterrupt
    print(f"Best mean Dice on {len(held_out)} held-out cases while training: {best:.4f}")
    if options.export:
        _export_run(folder, options.export)


def _export(options: argparse.Namespace) -> None:
    from ..engine.run_folder import RunFolder

    _export_run(RunFolder(options.run), options.output)


def _export_run(folder: RunFolder, bundle: Path) -> None:
    from ..engine.card import complete_bundle
    from ..engine.evaluate import evaluate_bundle, summarise
    from ..engine.export import export_bundle
    from .progress import BarProgress

    cases = folder.cases("held_out")
    recipe = export_bundle(folder, bundle)
    numbers = []
    for mirror in (False, True):
        with BarProgress("Evaluating" + " with mirroring" * mirror) as bar:
            place = folder.validation / ("mirrored" if mirror else "plain")
            numbers.append(summarise(evaluate_bundle(bundle, cases, place, bar, mirror=mirror)))
    complete_bundle(bundle, recipe, folder, *numbers)
    for name, metrics in numbers[0].items():
        dice = metrics["dice"]
        print(f"{name}: Dice {dice['mean']:.4f} (95 % interval {dice['ci95'][0]:.4f} to {dice['ci95'][1]:.4f})")
    print(f"Wrote the model to {bundle}")


if __name__ == "__main__":
    sys.exit(main())
