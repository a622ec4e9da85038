"""``cnnseg-train pretrain``: learn from images without labels, to start from later."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from SlicerCNNSegLib.cli.status import DONE

from .plan import add_recipe_arguments, chosen
from .progress import BarProgress
from .run import add_device_arguments

EPILOG = """\
examples:
  cnnseg-train pretrain IMAGES -o PRETRAINED --recipe hippocampus-mr --minutes 10
  cnnseg-train plan DATA -o RUN --recipe hippocampus-mr --from PRETRAINED

The network of the recipe learns to fill in blocks of the images that are hidden from it.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pretrain`` with its options."""
    parser = subparsers.add_parser(
        "pretrain",
        help="learn from images without labels, to start from later",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", type=Path, metavar="IMAGES", help="folder of images, or one with imagesTr")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run, to be made")
    add_recipe_arguments(parser, required=True)
    add_device_arguments(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Pretrain; returns the exit status.

    Raises
    ------
    CNNSegError
        An option is wrong, an image cannot be read, or the folder holds a run.
    KeyboardInterrupt
        The user stopped; a checkpoint is there.
    """
    from ..engine.data.unlabelled import read_unlabelled
    from ..engine.pretraining import pretrain, read_images
    from ..engine.recipe import Recipe
    from ..engine.run_folder import RunFolder
    from ..engine.training.hardware import Hardware
    from ..engine.training.ranks import join_ranks, restarted

    recipe = replace(Recipe.read(options.recipe), **chosen(options))
    cases = read_unlabelled(options.images, len(recipe.channel_names))
    hardware = Hardware.choose(options.device, recipe.precision, int(os.environ.get("LOCAL_RANK", "0")))
    with join_ranks(hardware.device.type) as ranks:
        with BarProgress("Reading", shown=ranks.leads) as bar:
            samples = read_images(cases, recipe, bar)
        resume = options.resume or restarted()
        run = RunFolder(options.output)
        with BarProgress("Pretraining", stop_cleanly=True, shown=ranks.leads) as bar:
            best = pretrain(run, recipe, samples, hardware, bar, ranks=ranks, resume=resume)
        if bar.cancelled():
            raise KeyboardInterrupt
        if ranks.leads:
            print(f"Explains {best:.3f} of the variance of hidden parts of held-out images; start from it with --from.")
    return DONE
