"""How much one bundle may ask for, and where in it a fault is.

Every limit is far above what published bundles need, and low enough that a hostile config is refused
within a second and a few megabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError

MAX_FILE_BYTES = 256 * 1024
MAX_NODES = 20_000
"""Values in one config, and in one resolved value with all that it refers to."""

MAX_DEPTH = 40
"""Nesting of a config, and of an expression."""

MAX_REFERENCES_DEPTH = 60
"""References that lead to references."""

MAX_EXPRESSION = 2_000
"""Characters of one expression: Python's own parser is not safe with much longer ones."""

MAX_STRING = 20_000
MAX_TEXT = 1_000_000
"""Characters of all texts of one value."""

MAX_ITEMS = 20_000
MAX_KEYS = 1_000
"""Of a dict or a set that an expression makes: numbers can be chosen so that each is compared with all others."""

MAX_BITS = 256
"""Size of a whole number: enough for every size, seed and mask."""

MAX_STEPS = 500_000
"""Work on one bundle: a step for each evaluated node, each item of what it makes, each sixteen characters."""

CHARACTERS_PER_STEP = 16

SHOWN = 160
"""Characters of an expression that a message shows."""

SHOWN_OF_FAULT = 300


@dataclass(frozen=True)
class Place:
    """Where in a bundle something stands; makes the errors.

    Parameters
    ----------
    bundle:
        The bundle's name, for messages.
    id:
        The config's id, as ``preprocessing::transforms::2``.
    source:
        What stands there, as text.
    """

    bundle: str
    id: str = ""
    source: str = ""

    def refuse(self, what: str, allowed: str) -> ConfigError:
        """The error for something that is not allowed."""
        return ConfigError(
            f"The bundle {shown(self.bundle)} asks for {shown(what)} in {self}; only {allowed} are allowed; "
            "use a bundle without it."
        )

    def fault(self, what: str) -> ConfigError:
        """The error for something that is broken."""
        return ConfigError(f"The bundle {shown(self.bundle)} has a fault in {self}: {shown(what, SHOWN_OF_FAULT)}.")

    def __str__(self) -> str:
        return f'"{shown(self.id)}": {shown(self.source)}' if self.source else f'"{shown(self.id)}"'


class Budget:
    """Counts work down; raises when it is used up."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int, place: Place) -> None:
        """Take ``steps`` off.

        Raises
        ------
        ConfigError
            None are left.
        """
        self._left -= steps
        if self._left < 0:
            raise place.fault(f"more work than {MAX_STEPS} steps; a config that needs so much is not read")


def shown(text: str, most: int = SHOWN) -> str:
    """Text of a bundle for a message: on one line, without control characters, and not too long."""
    text = "".join(c if c.isprintable() else " " for c in text[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."


def check_size(value: Any, budget: Budget, place: Place, leaf: Callable[[Any], object] | None = None) -> None:
    """Refuse a value that is too deep or has too many parts, shared ones counted each time.

    A list of ten references to a list of ten references and so on takes hardly any memory, and
    whoever walks through it never comes to an end.

    Parameters
    ----------
    value:
        Lists, tuples, sets and dicts are looked into; anything else is one part.
    leaf:
        Called with each part that is none of these.

    Raises
    ------
    ConfigError
        More than ``MAX_NODES`` parts, deeper than ``MAX_DEPTH``, or too long a string.
    """
    pending, count, characters = [(value, 0)], 0, 0
    while pending:
        item, depth = pending.pop()
        count += _numbers_in(item)
        characters += len(item) if isinstance(item, str) else 0
        if depth > MAX_DEPTH:
            raise place.fault(f"nested more than {MAX_DEPTH} deep")
        if isinstance(item, str) and len(item) > MAX_STRING:
            raise place.fault(f"a text of {len(item)} characters; at most {MAX_STRING} are read")
        if characters > MAX_TEXT or count > MAX_NODES:
            raise place.fault(f"more than {MAX_NODES} values or {MAX_TEXT} characters, counted through references")
        if isinstance(item, dict):
            parts = [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | range):
            parts = list(item[: MAX_NODES + 1]) if not isinstance(item, set) else list(item)
        else:
            if leaf is not None:
                leaf(item)
            continue
        if count + len(pending) + len(parts) > MAX_NODES:
            raise place.fault(f"more than {MAX_NODES} values, counted through references")
        pending += [(part, depth + 1) for part in parts]
    budget.spend(count + characters // CHARACTERS_PER_STEP, place)


def check_keys(count: int, place: Place) -> None:
    """Refuse a dict or a set of so many keys, before it is made."""
    if count > MAX_KEYS:
        raise place.fault(f"{count} keys; dicts and sets of at most {MAX_KEYS} are made")


def weight(made: Any) -> int:
    """Steps for a value that was made, by the memory that it takes."""
    if isinstance(made, str):
        return len(made) // CHARACTERS_PER_STEP
    return len(made) if isinstance(made, list | tuple | set | dict) else 0


def _numbers_in(item: Any) -> int:
    """How many parts a leaf counts for: those of an array, else one."""
    if type(item).__module__ == "numpy" and hasattr(item, "shape"):
        return max(1, int(item.size))
    return max(1, int(item.numel())) if type(item).__module__ == "torch" and hasattr(item, "numel") else 1
