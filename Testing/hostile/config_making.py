"""What hostile configs are made with, and the list of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MARK = "MARK"
"""In a config: the path of a file that must not come to be."""

ASKED = "asked"


@dataclass(frozen=True)
class Artefact:
    """A hostile config: its text, the end of its file's name, and a pattern of the reason of its refusal."""

    text: str
    reason: str
    suffix: str = ".json"


ARTEFACTS: dict[str, Artefact] = {}


def add(name: str, value: Any, reason: str, /, **others: Any) -> None:
    """A config whose id ``asked`` is ``value``."""
    ARTEFACTS[name] = Artefact(json.dumps({**others, ASKED: value}), reason)


def expression(name: str, source: str, reason: str, *imports: str) -> None:
    """A config that asks for an expression."""
    add(name, f"${source}", reason, imports=[f"$import {line}" for line in imports])


def target(name: str, path: str, reason: str, /, **arguments: Any) -> None:
    """A config that asks for a component."""
    add(name, {"_target_": path, **arguments}, reason)


def yaml(name: str, text: str, reason: str) -> None:
    """A YAML config."""
    ARTEFACTS[name] = Artefact(text, reason, ".yaml")
