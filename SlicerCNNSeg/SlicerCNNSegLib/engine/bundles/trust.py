"""Which bundles may run code of their own: those that their user said so of, as they were then.

The record lies in the user's models folder, beside the models, and holds for models of that folder alone. So nothing
that is unpacked or copied can bring a record along, and a bundle that was changed is not trusted any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import ModelError
from ..files.atomic import replacing
from ..places import user_models_folder

RECORD = ".trusted.json"


def trusted_sha256(folder: Path) -> str | None:
    """The checksum with which the model in a folder was trusted, or None when it was not."""
    store = user_models_folder()
    if folder.resolve().parent != store.resolve():
        return None
    return _read(store).get(folder.resolve().name)


def record_trust(name: str, sha256: str) -> Path:
    """Note that the model of that name may run its code as long as it has that checksum; gives the record's path.

    Raises
    ------
    OutputError
        The record cannot be written.
    """
    store = user_models_folder()
    return _write(store, {**_read(store), name: sha256})


def withdraw_trust(name: str) -> bool:
    """Take trust back; whether there was any.

    Raises
    ------
    OutputError
        The record cannot be written.
    """
    store = user_models_folder()
    known = dict(_read(store))
    if known.pop(name, None) is None:
        return False
    _write(store, known)
    return True


def _read(store: Path) -> Mapping[str, str]:
    path = store / RECORD
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"The record of trusted models {path} cannot be read ({error}); remove it.") from error
    return {str(name): str(value) for name, value in data.items()} if isinstance(data, dict) else {}


def _write(store: Path, known: Mapping[str, str]) -> Path:
    path = store / RECORD
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", encoding="utf-8")
    return path
