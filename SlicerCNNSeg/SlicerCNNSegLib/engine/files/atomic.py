"""Writing in one piece: a file is there whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from .paths import suffix


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write to a temporary file that takes ``path``'s place only when the block succeeds.

    The temporary file lies in the same folder (a rename within one file system cannot be half done)
    and has the same suffixes, by which writers choose the format. When the block raises, whatever it
    is, the temporary file goes and ``path`` stays as it was. A missing folder is made.

    Yields
    ------
    Path
        Where to write; no file is there yet.

    Raises
    ------
    OutputError
        The folder cannot be made or written to, ``path`` is a folder, the disk fails or is full
        while writing, or the block wrote nothing.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"Expected a file to write, but {path} is a folder; give a file name inside it.")
    temporary = path.with_name(f".{secrets.token_hex(4)}{suffix(path)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}; choose a folder that you may write to."
        ) from error
    try:
        yield temporary
        if not temporary.is_file():
            raise OutputError(f"Nothing was written to {path}; the writer gave up without an error.")
        temporary.replace(path)
    except OSError as error:
        # an error that names another file is the block's own affair
        if error.filename is not None and Path(os.fsdecode(error.filename)) != temporary:
            raise
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}; check the disk's free space and that no program holds it."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
