"""Texts cut to the room that there is, and harmless in a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def elided(text: str, longest: int) -> str:
    """The text, or its beginning and end with dots between when it is longer than that many characters."""
    if len(text) <= longest:
        return text
    tail = (longest - 3) // 3
    return f"{text[: longest - 3 - tail]}...{text[-tail:]}"


def listed(names: Sequence[str], longest: int) -> str:
    """As many of the names as fit into so many characters, at least one, and how many more there are."""
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) <= longest:
        shown += 1
    more = len(names) - shown
    return elided(", ".join(names[:shown]), longest) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    r"""The text with control characters escaped (``\x1b``): a terminal obeys them, and some reverse what is read."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def probability_in_words(probability: float) -> str:
    """A probability for reading, with two digits: ``0.98``, ``< 0.01``, ``> 0.99``; never a sure 0 or 1."""
    text = f"{probability:.2f}"
    return {"0.00": "< 0.01", "1.00": "> 0.99"}.get(text, text)
