"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# A shell starts what runs in its background with Ctrl-C ignored; the tests send it all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data: ``CNNSEG_DATA``, or ``../shared/data`` from the project's root.

    A test that needs it is skipped, and told, where there is none.
    """
    folder = Path(os.environ.get("CNNSEG_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set CNNSEG_DATA to its folder")
    return folder.resolve()
