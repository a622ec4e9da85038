"""Work in small pieces: whoever does it may look after something else in between, or give up."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Pieces of some milliseconds at most; what comes out is the generator's value."""


def finished(steps: Steps[T]) -> T:
    """Do all pieces, one after the other; gives what comes out."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
