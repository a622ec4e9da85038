"""Child processes of panels and clients: which Python, in which environment, and how to end one; no Qt."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[2]
"""Where SlicerCNNSegLib and the module's Resources lie; another module's children need it to find them."""

FOREIGN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "VIRTUAL_ENV")
"""By these an outside Python could leak into Slicer's own."""

OWN_VARIABLES = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "PYTHONNOUSERSITE": "1"}
"""Lines arrive when they are written, in one encoding on every system, and without the user's packages."""


def child_python() -> str:
    """The Python to start: PythonSlicer inside Slicer, else the one that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def child_environment(outside: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child: that outside of Slicer, without what leads to another Python."""
    return {name: value for name, value in outside.items() if name not in FOREIGN_VARIABLES} | OWN_VARIABLES


def end_process_tree(pid: int) -> None:
    """End a process and all that it has started.

    PythonSlicer is a launcher: ending it alone would leave the real Python running.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def interrupt_process_tree(pid: int) -> None:
    """Ask a process to stop in its own time, as Ctrl-C in a terminal does.

    The launcher PythonSlicer is left alone: it ends with the Python that it has started. Windows has
    no such wish for a process without a console; there the process is ended.
    """
    import psutil

    if os.name == "nt":
        end_process_tree(pid)
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in process.children(recursive=True) or [process]:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGINT)
