"""Ids, ``@`` references and ``%`` macros of a config, as MONAI's ``ConfigParser`` has them.

Every value has an id: the names and numbers that lead to it, joined by ``::`` (``#`` is the older
way to write it). ``@id`` stands for what is resolved there, ``%id`` for what is written there.
After ``@`` or ``%``, ``::`` means the same level, ``::::`` the level above, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .limits import Budget, Place, check_size

SEPARATOR = "::"
EXPRESSION = "$"
MACRO = "%"
_NOTHING = object()
_REFERENCE = re.compile(rf"@(\w*(?:{SEPARATOR}\w*)*)")
_RELATIVE = re.compile(rf"([@%])((?:{SEPARATOR})+)")
_FILE = re.compile(r".*\.(json|yaml|yml)(?=::|$)", re.IGNORECASE | re.DOTALL)


def normal_id(at: str) -> str:
    """The id with ``::`` between its parts."""
    return at.replace("#", SEPARATOR)


def children(at: str, config: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, str, Any]]:
    """Key, id and value of each child of the value at ``id``."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        yield key, f"{at}{SEPARATOR}{key}" if at else str(key), value


def is_expression(value: Any) -> bool:
    """Whether a value is an expression (``$...``)."""
    return isinstance(value, str) and value.startswith(EXPRESSION)


def reference_of(value: str) -> str | None:
    """The id that a text refers to when it is a reference and nothing else, or None."""
    match = _REFERENCE.fullmatch(value)
    return match[1] if match else None


def replace_references(expression: str, name: Callable[[str], str]) -> str:
    """The expression with ``name(id)`` in place of each ``@id``."""
    return _REFERENCE.sub(lambda match: name(match[1]), expression)


def expand(config: dict[str, Any], bundle: str, budget: Budget) -> dict[str, Any]:
    """A copy with absolute ids, and with macros replaced by what they stand for.

    As in MONAI, a macro is replaced once, in the order of the file: what it brings in is not
    looked through for macros again.

    Raises
    ------
    ConfigError
        A macro asks for a file or for an id that is not there, a relative id leads above the
        config, or the macros make it too large.
    """
    config = _copy(config)
    _expand_children(config, "", config, bundle, budget)
    check_size(config, budget, Place(bundle))
    return config


def find(config: Any, at: str, place: Place) -> Any:
    """What stands at an id.

    Raises
    ------
    ConfigError
        Nothing does.
    """
    for part in at.split(SEPARATOR) if at else ():
        if isinstance(config, dict) and part in config:
            config = config[part]
        elif isinstance(config, dict):  # YAML has keys that are numbers
            config = config.get(int(part), _NOTHING) if part.isdecimal() and len(part) < 10 else _NOTHING
        elif isinstance(config, list) and part.isdecimal() and len(part) < 10 and int(part) < len(config):
            config = config[int(part)]
        else:
            config = _NOTHING
        if config is _NOTHING:
            raise place.fault(f"nothing stands at @{at}")
    return config


def _expand_children(node: Any, at: str, root: dict[str, Any], bundle: str, budget: Budget) -> None:
    for key, sub_id, value in list(children(at, node)):
        place = Place(bundle, sub_id, value if isinstance(value, str) else "")
        budget.spend(1, place)
        if isinstance(value, dict | list):
            _expand_children(value, sub_id, root, bundle, budget)
        elif isinstance(value, str):
            node[key] = _expand_text(value, sub_id, root, place, budget)


def _expand_text(value: str, at: str, root: dict[str, Any], place: Place, budget: Budget) -> Any:
    parents = at.split(SEPARATOR)

    def absolute(match: re.Match[str]) -> str:
        level = len(match[2]) // len(SEPARATOR)
        if level > len(parents):
            raise place.fault(f"{match[0]} leads above the config")
        above = parents[:-level]
        return match[1] + "".join(part + SEPARATOR for part in above)

    value = _RELATIVE.sub(absolute, normal_id(value))
    if not value.startswith(MACRO):
        return value
    if _FILE.match(value):
        raise place.refuse("another file by a macro", "macros of the same file (%name)")
    found = find(root, value[len(MACRO) :], place)
    check_size(found, budget, place)
    return _copy(found)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
