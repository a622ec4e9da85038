"""``cnnseg-train evaluate``: how good the trained folds are, from their exported files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.cli.status import DONE

from .progress import BarProgress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``evaluate`` with its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="evaluate the trained folds on their held-out cases",
        description="Export each fold, segment its held-out cases from the files, and compare with their labels. "
        "With several folds, out_of_fold.json has all cases together, each segmented by the fold that had not seen it.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--test", action="store_true", help="evaluate on the cases of the split 'test' instead; this can be done once"
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Evaluate, and print; returns the exit status.

    Raises
    ------
    CNNSegError
        Nothing has been trained, the data has gone, or the test cases were looked at before.
    """
    from ..engine.run_folder import RunFolder
    from ..engine.workflow import PLAIN, evaluate_fold, evaluate_test, summarise_folds

    run = RunFolder(options.run)
    if options.test:
        print_numbers("Test cases", evaluate_test(run, BarProgress))
        print_worst(run.test / PLAIN)
        return DONE
    for fold in run.folds:
        print_numbers(f"Fold {fold.number}", evaluate_fold(fold, BarProgress))
        print_worst(fold.validation / PLAIN)
    numbers = summarise_folds(run)
    if len(run.folds) > 1:
        print_numbers("All held-out cases", numbers)
    print(run.out_of_fold)
    return DONE


def print_numbers(title: str, numbers: dict[str, Any]) -> None:
    """Print Dice of each structure, or AUC and its company of each class, or CPM and sensitivity of a detector."""
    from ..engine.results.card import CLASS_COLUMNS, COLUMNS, DETECTOR_COLUMNS
    from ..engine.results.evaluate import in_words

    for name, metrics in numbers.items():
        columns = next((c for c in (CLASS_COLUMNS, DETECTOR_COLUMNS) if next(iter(c)) in metrics), None)
        columns = columns or {"dice": COLUMNS["dice"]}
        told = [f"{words} {in_words(metrics.get(metric), 4, '95 % interval ')}" for metric, words in columns.items()]
        print(f"{title}, {name}: {', '.join(text for text in told if not text.endswith(' -') or len(columns) == 1)}")


def print_worst(folder: Path) -> None:
    """Print the cases with the lowest Dice, of a segmentation, and where predictions and truth lie."""
    from ..engine.results.evaluate import read_report

    report = read_report(folder)
    if "summary" in report:
        worst = report["summary"]["all_labels"]["metrics"]["dice"]["worst"]
        print("Worst: " + ", ".join(f"{one['case']} {one['value']:.3f}" for one in worst))
    print(f"Predictions and truth: {folder}")
