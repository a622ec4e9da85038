"""Names of cases and files."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

DOUBLE_SUFFIXES = (".seg.nrrd", ".nii.gz")
"""Suffixes of two parts: ``Path.suffix`` alone would leave half of them in the name."""

LABELMAP_FORMATS = ("seg.nrrd", "nii.gz", "nrrd", "mha", "nii")
"""Formats that a labelmap can be written in; only the first keeps names, colours and codes."""

LONGEST_NAME = 60
"""Characters that ``safe_name`` keeps: at most 240 bytes of UTF-8, file systems allow 255."""

RESERVED_NAMES = {"CON", "PRN", "AUX", "NUL"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)}
"""Device names that Windows refuses as file names, with any suffix."""


def suffix(path: Path | str) -> str:
    """The file's suffix in lower case, both parts of a double one: ``.nii.gz``, ``.seg.nrrd``, ``.mha``."""
    name = Path(path).name.lower()
    return next((double for double in DOUBLE_SUFFIXES if name.endswith(double)), Path(name).suffix)


def stem(path: Path | str) -> str:
    """The case's name: the file's name without its suffix, or the folder's name."""
    path = Path(path)
    if path.is_dir():
        return path.resolve().name
    return path.name[: len(path.name) - len(suffix(path))]


def safe_name(text: str) -> str:
    """``text`` (a DICOM value, a label) as one harmless part of a path, on every platform.

    Letters and digits of any script, ``-``, ``_`` and inner dots stay; the rest becomes ``_``. There
    are no separators, no leading dots (``..``, hidden files), no names that Windows reserves, and
    never nothing: an empty text gives ``unnamed``.
    """
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFKC", text))
    plain = plain.strip("._")[:LONGEST_NAME].rstrip("._") or "unnamed"
    return f"_{plain}" if plain.partition(".")[0].upper() in RESERVED_NAMES else plain
