"""``cnnseg``: the command line's front door.

Building the parser and listing models import no torch, MONAI, SimpleITK, scipy or matplotlib; a
sub-command imports what it needs when it is executed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from ..engine.errors import CNNSegError, SettingsError
from ..engine.version import VERSION
from . import classify, demo, detect, evaluate, models, segment
from .inputs import REGION_OPTIONS
from .jsonlines import emit_error
from .status import SOME_FAILED, STOPPED, UsageError, one_line, status_of
from .terminal import say_error

COMMANDS = (segment, classify, detect, models, evaluate, demo)
TOLD_IN_JSON = (["segment"], ["classify"], ["detect"], ["models", "install"])
"""Commands that tell of errors by JSON objects, where that is asked for."""

DESCRIPTION = "Segment and classify medical images, and find nodules in them, with convolutional networks."
EPILOG = """\
examples:
  cnnseg models list                         which models there are
  cnnseg segment head.nii.gz -o out          segment one image
  cnnseg classify head.nii.gz -o out --model ID   classify one image
  cnnseg detect chest.nii.gz -o out --model ID    find nodules in a chest CT
  cnnseg segment --help                      all options

exit status: 0 all done, 1 some failed, 2 wrong usage, 130 stopped by Ctrl-C
"""

NEGATIVE_VALUE = re.compile(r"-[\d.]")
"""How a value begins that argparse would take for an option (``-40,30,...``)."""


class Parser(argparse.ArgumentParser):
    """Raises ``SettingsError`` where argparse prints the whole usage and leaves."""

    def error(self, message: str) -> NoReturn:
        """Raise, with where to look."""
        raise SettingsError(f"{message}; see '{self.prog} --help'.")


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``cnnseg`` with all its sub-commands."""
    parser = Parser(
        prog="cnnseg",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cnnseg {VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Parameters
    ----------
    argv:
        Arguments without the program's name; None takes those of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    try:
        with _terminate_as_interrupt(), warnings.catch_warnings():
            if not debug:  # what other packages warn of is for developers; ours come with the results
                warnings.simplefilter("ignore")
            arguments = parse(argv)
            status = arguments.execute(arguments)
            sys.stdout.flush()
            return int(status)
    except SystemExit as left:  # --help and --version
        return int(left.code or 0)
    except KeyboardInterrupt:
        say_error("stopped.")
        return STOPPED
    except BrokenPipeError:  # the reader (head, a closed panel) has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except Exception as error:
        known = isinstance(error, CNNSegError | UsageError)
        say_error(one_line(error), error if debug else None)
        if "--json" in argv and (argv[:1] in TOLD_IN_JSON or argv[:2] in TOLD_IN_JSON):
            emit_error(error)
        return status_of(error) if known else SOME_FAILED


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse, with two things that argparse cannot: values like ``-40,30,...``, and inputs after options.

    Raises
    ------
    SettingsError
        The arguments are wrong.
    """
    parser = build_parser()
    arguments, extra = parser.parse_known_args(join_negative_values(argv))
    inputs = getattr(arguments, "inputs", None)
    unknown = [text for text in extra if text.startswith("-") or inputs is None]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if inputs is not None:
        arguments.inputs = [*inputs, *extra]
    return arguments


def join_negative_values(argv: Sequence[str]) -> list[str]:
    """``--roi-ras -40,30,...`` as ``--roi-ras=-40,30,...``."""
    joined: list[str] = []
    for text in argv:
        if joined and joined[-1] in REGION_OPTIONS and NEGATIVE_VALUE.match(text):
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM (a panel's or a scheduler's stop) do what Ctrl-C does, so that nothing is left half-written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
