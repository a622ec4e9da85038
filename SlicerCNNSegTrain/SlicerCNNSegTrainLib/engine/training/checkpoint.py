"""The state of a run on disk: written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import FileReadError, OutputError
from SlicerCNNSegLib.engine.files.atomic import replacing


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under a temporary name, then rename: the last good checkpoint is never lost.

    Raises
    ------
    OutputError
        It cannot be written: the disk is full, say.
    """
    with replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch's writer has its own word for a write that fails
            raise OutputError(
                f"The checkpoint {path} cannot be written: is the disk full? The one before it is good; make room and "
                "go on with --resume."
            ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data (no code in it is run).

    Raises
    ------
    FileReadError
        It is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise FileReadError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}); start without --resume."
        ) from error
    return state
