"""What was found out about this machine, kept in a small file beside the user's models."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import OutputError
from .files.atomic import replacing
from .places import user_models_folder

MOST = 200
"""Entries that are kept, the newest: some 60 kB."""


def trials_file() -> Path:
    """Where trials are remembered: ``trials.json`` beside the folder of the user's models."""
    return user_models_folder().with_name("trials.json")


def recalled(file: Path, key: str) -> dict[str, Any] | None:
    """What is remembered under a key; None where there is nothing, or the file cannot be read."""
    entry = _read(file).get(key)
    return entry if isinstance(entry, dict) else None


def remember(file: Path, key: str, entry: dict[str, Any]) -> None:
    """Keep something under a key; a file that cannot be written is left alone, because a run does without it.

    Of two processes that write at the same time one is forgotten, and measures again.
    """
    entries = {name: old for name, old in _read(file).items() if name != key} | {key: entry}
    newest = dict(list(entries.items())[-MOST:])
    with suppress(OutputError), replacing(file) as part:
        part.write_text(json.dumps(newest, indent=1), encoding="utf-8")


def _read(file: Path) -> dict[str, Any]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}
