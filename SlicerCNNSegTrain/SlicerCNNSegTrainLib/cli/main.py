"""The command ``cnnseg-train``: from labelled cases to a model that ``cnnseg`` offers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from SlicerCNNSegLib.cli.status import STOPPED, one_line, status_of
from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.engine.version import VERSION

from . import auto, check, compare, evaluate, export, labels, plan, pretrain, run

COMMANDS = (labels, check, plan, run, evaluate, export, compare, auto, pretrain)

EXAMPLES = """\
examples:
  cnnseg-train labels DATA
  cnnseg-train check DATA --recipe hippocampus-mr
  cnnseg-train plan DATA -o RUN --recipe hippocampus-mr
  cnnseg-train run RUN --minutes 30
  cnnseg-train run RUN --resume
  cnnseg-train evaluate RUN
  cnnseg-train export RUN -o MODEL
  cnnseg-train compare RUN MODEL SMALLER_MODEL
  cnnseg-train auto DATA -o MODEL --recipe hippocampus-mr --minutes 30
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``cnnseg-train``; building it imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="cnnseg-train",
        description="Train a model on labelled images and export it as a MONAI Bundle.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cnnseg-train {VERSION}")
    parser.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed, 2 usage, 130 stopped."""
    options = build_parser().parse_args(argv)
    try:
        return int(options.execute(options))
    except CNNSegError as error:
        if options.debug:
            raise
        sys.stderr.write(f"cnnseg-train: error: {one_line(error)}\n")
        return status_of(error)
    except KeyboardInterrupt:
        hint = "; go on with --resume" if options.command in ("run", "auto", "pretrain") else ""
        sys.stderr.write(f"cnnseg-train: stopped{hint}\n")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
