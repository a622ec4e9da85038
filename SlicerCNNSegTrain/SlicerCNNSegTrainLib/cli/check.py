"""``cnnseg-train check``: what is wrong or odd about labelled cases, before anything is trained on them."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.json_file import json_file
from SlicerCNNSegLib.cli.status import DONE, SOME_FAILED

from .progress import BarProgress
from .task import task_to_plan

if TYPE_CHECKING:
    from ..engine.checking.findings import CheckReport
    from ..engine.recipe import Recipe

EPILOG = """\
examples:
  cnnseg-train check DATA --recipe hippocampus-mr -o report.json
  cnnseg-train check nodules.csv --recipe nodule-detection-demo

Errors would make a training fail or worth nothing, and stop 'cnnseg-train run' before its first step:
unreadable files, a label on another grid, unknown label values, empty labels, a patient or an image in
two parts, a structure that cannot be learned. Warnings are for a person to look at.

exit status: 0 no error, 1 errors, or the data cannot be listed, 2 wrong usage
"""

DATA_HELP = "folder with imagesTr and labelsTr (MSD / nnU-Net form), or CSV table"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``check`` with its options."""
    parser = subparsers.add_parser(
        "check",
        help="check labelled cases before training",
        description="Check images, labels and their division into folds: a table of all cases, and findings in words.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_argument(parser)
    parser.add_argument("--recipe", help="shipped recipe or recipe file: what the data must fit (default: none)")
    parser.add_argument("-o", "--output", type=Path, metavar="REPORT.json", help="for all the numbers")
    parser.add_argument("--quiet", action="store_true", help="print errors and warnings only")
    parser.set_defaults(execute=execute)


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Add what says which data, and what it may be like."""
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument("--allow-empty", action="store_true", help="labels without any structure are meant so")


def execute(options: argparse.Namespace) -> int:
    """Read, judge, write the JSON file, print table and findings; returns the exit status.

    Raises
    ------
    CNNSegError
        The recipe or the list of cases cannot be read, or the file cannot be written.
    """
    from ..engine.checking.findings import ERROR
    from ..engine.recipe import CLASSIFICATION, DETECTION, Recipe
    from .check_table import check_text, findings_text, images_text, marks_text

    with json_file(options.output) if options.output else nullcontext() as part:
        recipe = Recipe.read(options.recipe) if options.recipe else None
        if recipe is not None and recipe.task == DETECTION:
            report, whole = _check_marked(options, recipe), marks_text
        elif recipe is not None and recipe.task == CLASSIFICATION:
            report, whole = _check_classified(options, recipe), images_text
        else:
            task_to_plan(options.data, "")
            report, whole = _check_labelled(options, recipe), check_text
        if part is not None:
            text = json.dumps({"data": str(options.data)} | report.to_json(), indent=2, allow_nan=False)
            part.write_text(f"{text}\n", encoding="utf-8")
    print(findings_text(report) if options.quiet else whole(report))
    if part is not None and not options.quiet:
        print(f"\n{options.output}")
    return SOME_FAILED if report.of(ERROR) else DONE


def _check_labelled(options: argparse.Namespace, recipe: Recipe | None) -> CheckReport:
    """Read and judge images with labels."""
    from ..engine.checking.check import check_data
    from ..engine.data.read import read_data
    from ..engine.data.reading import read_cases

    data = read_data(options.data, recipe.channel_names if recipe else ())
    with BarProgress("Checking") as bar:
        reading = read_cases(data.cases, bar, relabelled=recipe.relabelled if recipe else ())
    return check_data(data, reading, recipe, allow_empty=options.allow_empty)


def _check_marked(options: argparse.Namespace, recipe: Recipe) -> CheckReport:
    """Read and judge images with nodules."""
    from ..engine.checking.marks import check_marks
    from ..engine.data.marked import read_marked_images
    from ..engine.data.marks import read_marked
    from ..engine.data.splits import divide

    images = read_marked(options.data)
    division = divide(images, recipe.folds, recipe.seed)
    with BarProgress("Checking") as bar:
        reading = read_marked_images(images, recipe, bar)
    return check_marks(images, reading, division, division.choices)


def _check_classified(options: argparse.Namespace, recipe: Recipe) -> CheckReport:
    """Read and judge images with classes."""
    from ..engine.checking.images import check_images
    from ..engine.classifying import divide_images
    from ..engine.data.images import read_images
    from ..engine.run_folder import classified_images

    images = classified_images(options.data, recipe)
    division = divide_images(images, recipe)
    with BarProgress("Checking") as bar:
        reading = read_images(images, recipe, bar)
    return check_images(images, reading, division, recipe.class_names, division.choices)
