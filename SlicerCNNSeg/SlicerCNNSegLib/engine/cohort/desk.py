"""Calls that other threads want made by the first one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ..errors import Cancelled

Answer = TypeVar("Answer")

WAIT_S = 0.1
"""Ctrl-C is noticed between waits: on Windows none can be interrupted."""


class Desk:
    """Makes calls for other threads, in the thread that made the desk.

    There alone Ctrl-C arrives and memory is kept between runs (``heap.py``), and an observer needs to know of one
    thread only.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._closed = False

    def tell(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called, in the order of the tellings; does not wait."""
        self._calls.put(partial(function, *arguments))
        if threading.get_ident() == self._thread:
            self.catch_up()

    def ask(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Have a function called, and wait for what it gives or raises; not for the desk's own thread.

        Raises
        ------
        Cancelled
            The desk is closed.
        """
        answer: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()
        self._calls.put(partial(self._answer, answer, partial(function, *arguments)))
        given, error = answer.get()
        if error is not None:
            raise error
        return given  # type: ignore[return-value]  # there is one where there is no error

    def serve(self, enough: Callable[[], bool]) -> None:
        """Make the calls that come until, after one of them, there were enough."""
        while not enough():
            try:
                call = self._calls.get(timeout=WAIT_S)
            except Empty:
                continue
            call()

    def catch_up(self) -> None:
        """Make the calls that have come."""
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            call()

    def close(self) -> None:
        """From now on whoever asks is told that the work is cancelled; what is told is still heard."""
        self._closed = True

    def _answer(self, answer: SimpleQueue[Any], call: Callable[[], object]) -> None:
        if self._closed:
            answer.put((None, Cancelled()))
            return
        try:
            answer.put((call(), None))
        except BaseException as error:  # Ctrl-C too: who asked passes it on
            answer.put((None, error))
