"""``cnnseg evaluate``: how good predictions are, against references."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from . import evaluate_classification, evaluate_detection
from .json_file import json_file
from .status import DONE, SOME_FAILED, before_first_case
from .terminal import TerminalProgress

EPILOG = """\
example:
  cnnseg evaluate segmentation --reference labelsTr --prediction out -o evaluation.json

Files are paired by name (case.nii.gz with case.seg.nrrd).

exit status: 0 every reference was compared, 1 some are missing or failed, 2 wrong usage
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``evaluate`` with one sub-command for each task."""
    parser = subparsers.add_parser("evaluate", help=words, description="Compare predictions with references.")
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    _add_segmentation(tasks)
    evaluate_classification.add_parser(tasks)
    evaluate_detection.add_parser(tasks)


def _add_segmentation(tasks: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = tasks.add_parser(
        "segmentation",
        help="labelmaps: Dice, IoU, HD95, surface distance, NSD, volume error",
        description="Compare labelmaps: Dice, IoU, HD95, mean surface distance, NSD and volume error, "
        "per case and per label, with bootstrap confidence intervals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--reference", required=True, type=Path, metavar="DIR", help="labelmaps to compare with")
    parser.add_argument("--prediction", required=True, type=Path, metavar="DIR", help="labelmaps to judge")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.json", help="for all the numbers")
    parser.add_argument(
        "--tolerance-mm", type=float, default=1.0, metavar="MM", help="of the normalised surface Dice (default: 1.0)"
    )
    parser.add_argument("--labels", type=int, nargs="+", metavar="VALUE", help="label values (default: all that occur)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    parser.set_defaults(execute=execute_segmentation)


def execute_segmentation(arguments: argparse.Namespace) -> int:
    """Compare, write the JSON file, print the table; returns the exit status.

    Raises
    ------
    UsageError
        An option or a path is wrong, the file cannot be written, or nothing can be compared.
    """
    from ..engine.evaluation.folders import COMPARED, UNMATCHED, evaluate_folders
    from ..engine.evaluation.table import summary_table

    with before_first_case(), json_file(arguments.output) as part:
        with closing(TerminalProgress(quiet=arguments.quiet)) as progress:
            evaluation = evaluate_folders(
                arguments.reference,
                arguments.prediction,
                tolerance_mm=arguments.tolerance_mm,
                labels=arguments.labels,
                seed=arguments.seed,
                progress=progress,
            )
        part.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
    if not arguments.quiet:
        print(f"{summary_table(evaluation)}\n\n{arguments.output}")
    # a prediction without a reference was never to be compared
    statuses = {case["status"] for case in evaluation["cases"]}
    return DONE if statuses <= {COMPARED, UNMATCHED} else SOME_FAILED
