"""Wheels that are packed beside a model, for a machine without a network.

Installing a model never looks at them: what a wheel brings is code, and pip installs it when somebody asks pip to.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..errors import SettingsError

FOLDER = "wheels"
"""Of a packed model: beside the model's own folder."""


def wheels_in(folder: Path) -> dict[str, Path]:
    """The wheels of a folder, as ``pip download`` or ``pip wheel`` makes it, by their names in a packed model.

    Raises
    ------
    SettingsError
        There is no such folder, or something other than wheels in it, or nothing.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"Expected a folder of wheels, got {folder}; make one with 'pip download cnnseg -d {folder}'."
        )
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    others = [path.name for path in files if path.suffix != ".whl" or not zipfile.is_zipfile(path)]
    if others or not files:
        found = f"{others[0]!r} in {folder}, which is none" if others else f"an empty folder {folder}"
        raise SettingsError(
            f"Expected wheels (.whl), got {found}; 'pip download --only-binary :all:' gives only wheels."
        )
    return {f"{FOLDER}/{path.name}": path for path in files}
