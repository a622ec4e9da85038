"""Messages on a pipe: a JSON object with its length (4 bytes, big endian) before it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from ..engine.errors import WorkerError

PROTOCOL = 1
"""Number of the worker's language; both sides say it first, and go on only when it is the same."""

PREAMBLE = b"\n\0CNNSeg worker\0\n"
"""Comes before the first message; whatever a launcher has printed before it is skipped."""

LONGEST = 64 << 20
"""Bytes of a message; the longest real ones (a thousand labels with codes) have under 1 MB."""

_LENGTH = struct.Struct(">I")


def packed(message: Mapping[str, Any]) -> bytes:
    """A message as it goes over the pipe."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Whole messages out of the pieces in which a pipe delivers them.

    Parameters
    ----------
    preamble:
        Everything up to and with it is skipped.
    """

    def __init__(self, preamble: bytes = b"") -> None:
        self._preamble = preamble
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that ``data`` completes.

        Raises
        ------
        WorkerError
            What came is no message.
        """
        self._rest += data
        if self._preamble:
            _, found, after = self._rest.partition(self._preamble)
            if not found:
                return []
            self._rest, self._preamble = after, b""
        messages = []
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            end = _LENGTH.size + length
            if length > LONGEST:
                raise WorkerError(
                    f"Expected a message of at most {LONGEST} bytes between worker and client, got {length}."
                )
            if len(self._rest) < end:
                break
            messages.append(_object(bytes(self._rest[_LENGTH.size : end])))
            del self._rest[:end]
        return messages


def _object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as error:
        raise WorkerError(f"Expected JSON between worker and client, got {body[:80]!r} ({error}).") from error
    if not isinstance(message, dict) or "kind" not in message:
        raise WorkerError(f"Expected a message with its kind between worker and client, got {body[:80]!r}.")
    return message
