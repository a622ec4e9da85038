"""The version of CNNSeg, and of what computes beneath it."""

from __future__ import annotations

import platform
from functools import cache

VERSION = "0.1.0"


def versions(*packages: str) -> dict[str, str]:
    """Versions of CNNSeg, Python and the installed ``packages``, for records."""
    found = {"cnnseg": VERSION, "python": platform.python_version()}
    return found | {name: _version(name) for name in packages}


@cache
def _version(name: str) -> str:
    from importlib import metadata  # a tenth of what the command line may take to start

    return metadata.version(name)  # parses a file of some kB, every time 2 to 10 ms
