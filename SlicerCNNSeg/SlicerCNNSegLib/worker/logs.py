"""What the worker's libraries write: a file for each worker, of bounded size, the newest few kept."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

KEPT = 5
"""Files that are kept, the newest."""

LARGEST_BYTES = 1 << 20
"""From this size on a file begins anew; a traceback with its causes has some 10 kB."""

SHOWN_LINES = 200


def logs_folder() -> Path:
    """Where log files go: ``CNNSEG_LOGS``, or ``.cnnseg/logs`` in the home folder."""
    given = os.environ.get("CNNSEG_LOGS")
    return Path(given) if given else Path.home() / ".cnnseg" / "logs"


def new_log() -> Path:
    """A new empty log file that only this user can read; the oldest ones are removed.

    Where the folder cannot be written to, it is a file in the folder for temporary files.
    """
    folder = logs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("worker-*.log"), key=lambda path: path.stat().st_mtime)[: 1 - KEPT]:
            old.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(".log", time.strftime("worker-%Y%m%d-%H%M%S-"), folder)
    except OSError:
        handle, name = tempfile.mkstemp(".log", "cnnseg-worker-")
    os.close(handle)
    return Path(name)


def bound(descriptor: int) -> None:
    """Begin an open log file anew when it has grown too large."""
    if os.fstat(descriptor).st_size > LARGEST_BYTES:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"(the log was longer; what came before was dropped)\n")


def tail(path: Path, start: int = 0) -> str:
    """The last lines of a log file, not before the position ``start``."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(start if start <= size else 0)  # it has begun anew since
            text = file.read(LARGEST_BYTES * 2).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-SHOWN_LINES:])
