"""``cnnseg evaluate classification``: how good a classifier's probabilities are, alone or against another's."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from .json_file import json_file
from .status import DONE, before_first_case
from .terminal import TerminalProgress

EPILOG = """\
examples:
  cnnseg evaluate classification --table T.csv -o evaluation.json --plots plots
  cnnseg evaluate classification --table T.csv --compare OTHER.csv -o evaluation.json

columns of a table, one row for each case:
  case                  name of the case
  truth                 its class
  probability_<class>   one for each class (of two classes, the positive one's is enough)
  probability           instead, where the classes are 0 and 1: the probability of 1
  reader                optional: the class that a second reader chose; empty where none did
  patient               optional: intervals and tests then take a patient's cases together

Several classes at once (multi-label): truth_<class> and reader_<class>, with 0 or 1.

exit status: 0 done, 2 wrong usage or a wrong table
"""


def add_parser(tasks: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``classification`` to the tasks of ``evaluate``."""
    parser = tasks.add_parser(
        "classification",
        help="probabilities: AUC, PR-AUC, accuracy, F1, kappa, calibration; comparison of two models",
        description="Judge class probabilities: accuracy, balanced accuracy, F1, sensitivity, specificity, AUC, "
        "PR-AUC, Cohen's kappa, calibration error and Brier score, with 95 % confidence intervals; "
        "compare two models on the same cases.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--table", required=True, type=Path, metavar="T.csv", help="truth and probabilities")
    parser.add_argument("--compare", type=Path, metavar="OTHER.csv", help="another model's table of the same cases")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.json", help="for all the numbers")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="for ROC, precision-recall and reliability pictures")
    parser.add_argument("--positive", default="", metavar="CLASS", help="of two classes (default: the last column's)")
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="probability from which on a class is decided for; of several classes that exclude each other "
        "the most probable one is (default: 0.5)",
    )
    parser.add_argument("--bins", type=int, default=10, metavar="N", help="of the calibration error (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    parser.set_defaults(execute=execute_classification)


def execute_classification(arguments: argparse.Namespace) -> int:
    """Judge, write the JSON file and the pictures, print the tables; returns the exit status.

    Raises
    ------
    UsageError
        An option or a table is wrong, or a file cannot be written.
    """
    from ..engine.evaluation.classification.evaluate import evaluate_classification
    from ..engine.evaluation.classification.tables import read_classification_table
    from ..engine.evaluation.classification.text import summary_text

    files: list[Path] = []
    with before_first_case(), json_file(arguments.output) as part:
        paths = [path for path in (arguments.table, arguments.compare) if path is not None]
        tables = [read_classification_table(path, positive=arguments.positive) for path in paths]
        with closing(TerminalProgress(quiet=arguments.quiet)) as progress:
            evaluation = evaluate_classification(
                *tables,
                threshold=arguments.threshold,
                bins=arguments.bins,
                seed=arguments.seed,
                progress=progress,
            )
        if arguments.plots is not None:
            from ..engine.evaluation.classification.plot import write_plots

            files = write_plots(arguments.plots, tables, evaluation)
        part.write_text(json.dumps(evaluation, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if not arguments.quiet:
        print(summary_text(evaluation), "", arguments.output, *files, sep="\n")
    return DONE
