"""``cnnseg``: the command line's front door.

Only the command that is wanted is imported. Building its parser and listing models import no torch, MONAI, SimpleITK,
scipy or matplotlib; a command imports what it needs when it is executed.
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
from importlib import import_module
from typing import NoReturn

from ..engine.errors import CNNSegError, SettingsError
from ..engine.version import VERSION
from .status import SOME_FAILED, STOPPED, UsageError, one_line, say_error, status_of

COMMANDS = {
    "segment": "segment images",
    "classify": "classify images, regions or segments",
    "detect": "find nodules in chest CTs",
    "models": "list, show, install and check models",
    "evaluate": "compare predictions with references",
    "demo": "segment the hippocampi of a head that comes with nilearn",
}
"""Each command, in a module of its name here, and what the list of commands says of it."""

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

REGION_OPTIONS = ("--roi", "--roi-ras")
"""Their values may begin with a minus."""

NEGATIVE_VALUE = re.compile(r"-[\d.]")
"""How a value begins that argparse would take for an option (``-40,30,...``)."""


class Parser(argparse.ArgumentParser):
    """Raises ``SettingsError`` where argparse prints the whole usage and leaves."""

    def error(self, message: str) -> NoReturn:
        """Raise, with where to look."""
        raise SettingsError(f"{message}; see '{self.prog} --help'.")


def build_parser(wanted: str) -> argparse.ArgumentParser:
    """The parser of ``cnnseg``; of its commands the wanted one has its options."""
    parser = Parser(
        prog="cnnseg",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cnnseg {VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        if name == wanted:
            import_module(f".{name}", __package__).add_parser(subparsers, words)
        else:
            subparsers.add_parser(name, help=words)
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
            from .jsonlines import emit_error

            emit_error(error)
        return status_of(error) if known else SOME_FAILED


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse, with two things that argparse cannot: values like ``-40,30,...``, and inputs after options.

    Raises
    ------
    SettingsError
        The arguments are wrong.
    """
    parser = build_parser(argv[0] if argv else "")
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
