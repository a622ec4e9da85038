"""What a child process writes, as lines; no Qt."""

from __future__ import annotations


class LineBuffer:
    """Whole lines out of the pieces in which a pipe delivers them."""

    def __init__(self) -> None:
        self._rest = b""

    def lines(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes, without their ends."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def last(self) -> list[str]:
        """What stands after the last line's end, when the pipe is closed."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []
