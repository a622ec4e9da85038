"""``cnnseg-train labels``: what there is to learn in the data, to choose from with ``plan --labels``."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerCNNSegLib.cli.json_file import json_file
from SlicerCNNSegLib.cli.status import DONE

from .check import DATA_HELP
from .progress import BarProgress

if TYPE_CHECKING:
    from ..engine.data.contents import Contents

EPILOG = """\
examples:
  cnnseg-train labels DATA
  cnnseg-train plan DATA -o RUN --labels liver "lesion=tumour+cyst"

Label files are read, images are not. Labels have the names of dataset.json, else 'label 1', 'label 2' ...
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``labels`` with its options."""
    parser = subparsers.add_parser(
        "labels",
        help="list tasks and labels of the data",
        description="Which tasks the data can be trained for, and which labels there are in how many cases.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument("-o", "--output", type=Path, metavar="LABELS.json", help="for programs")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Count, write the JSON file, print; returns the exit status.

    Raises
    ------
    CNNSegError
        The data cannot be listed, or the file cannot be written.
    """
    from ..engine.data.contents import look_into

    with json_file(options.output) if options.output else nullcontext() as part:
        with BarProgress("Counting") as bar:
            contents = look_into(options.data, bar)
        if part is not None:
            part.write_text(json.dumps(contents.to_json(), indent=2) + "\n", encoding="utf-8")
    print(labels_text(contents))
    return DONE


def labels_text(contents: Contents) -> str:
    """A table for each task, or why the data is none for it."""
    from SlicerCNNSegLib.cli.terminal import table

    parts = []
    for task, reason in contents.tasks.items():
        if reason:
            parts.append(f"{task}: no. {reason}")
            continue
        total = len(contents.cases[task])
        rows = [(label.name, f"{label.cases} of {total}") for label in contents.labels[task]]
        parts.append(f"{task}: {total} cases\n{table(rows, ('label', 'in cases'))}")
    return "\n\n".join(parts)
