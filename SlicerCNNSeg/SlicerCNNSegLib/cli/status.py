"""Exit statuses, which error leads to which, and how an error is told on stderr."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ..engine.errors import CNNSegError, SettingsError
from ..engine.wording import printable

DONE = 0
SOME_FAILED = 1
USAGE = 2
STOPPED = 130
"""What a shell gives a command that Ctrl-C stopped (128 + SIGINT)."""


class UsageError(Exception):
    """What went wrong before the first case: a matter of usage, whichever error it is (its cause)."""


@contextmanager
def before_first_case() -> Iterator[None]:
    """Make any error of the engine a usage fault."""
    try:
        yield
    except CNNSegError as error:
        raise UsageError(one_line(error)) from error


def status_of(error: Exception) -> int:
    """The exit status that an error leads to."""
    return USAGE if isinstance(error, SettingsError | UsageError) else SOME_FAILED


def one_line(error: BaseException) -> str:
    """The error's message on one line; an error that CNNSeg did not raise on purpose with its type."""
    message = printable(" ".join(str(error).split()))
    if isinstance(error, CNNSegError | UsageError):
        return message
    return f"{type(error).__name__}: {message or 'no message'}; run with --debug for the traceback."


def say_error(text: str, error: BaseException | None = None) -> None:
    """Write ``cnnseg: error: ...`` to stderr; with ``error``, its traceback first."""
    if error is not None:
        sys.stderr.write("".join(traceback.format_exception(error)))
    sys.stderr.write(f"cnnseg: error: {text}\n")
