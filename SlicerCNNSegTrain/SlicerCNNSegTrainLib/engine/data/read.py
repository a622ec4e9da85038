"""The one door to training data: a folder or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .cases import TrainingData
from .folder import read_folder
from .manifest import read_manifest

TABLE_SUFFIX = ".csv"


def read_data(path: Path, channels: Sequence[str] = ()) -> TrainingData:
    """The cases of a folder (``folder.py``) or of a CSV table (``manifest.py``); no image is read.

    Parameters
    ----------
    path:
        A table when it ends in ``.csv``, else a folder.
    channels:
        Names of the channels, for a table's columns.

    Raises
    ------
    InputError
        What ``read_folder`` and ``read_manifest`` raise.
    """
    if path.suffix.lower() == TABLE_SUFFIX:
        return read_manifest(path, channels)
    return read_folder(path)
