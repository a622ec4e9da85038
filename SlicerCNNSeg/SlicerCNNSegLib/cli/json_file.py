"""The JSON file that an evaluation leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..engine.errors import SettingsError


@contextmanager
def json_file(path: Path) -> Iterator[Path]:
    """Where to write the file: tried before the work begins, in place only when all went well.

    Raises
    ------
    SettingsError
        The name does not end in .json.
    OutputError
        The place cannot be written to.
    """
    from ..engine.files.atomic import replacing

    if path.suffix.lower() != ".json":
        raise SettingsError(f"Expected a file that ends in .json after -o, got {path}.")
    with replacing(path) as part:
        yield part
