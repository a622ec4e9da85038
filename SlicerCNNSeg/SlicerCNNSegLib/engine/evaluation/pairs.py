"""Which predicted labelmap belongs to which reference (heavy: the labelmaps' reader)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import FileReadError, InputError
from ..files.paths import LABELMAP_FORMATS, stem, suffix
from ..wording import listed

EXAMPLES_LENGTH = 40
"""Characters of names given as examples in a message."""


@dataclass(frozen=True)
class Pair:
    """One case: its reference and its prediction, of which one may be absent."""

    case: str
    reference: Path | None
    prediction: Path | None


def pair_files(reference: Path, prediction: Path) -> list[Pair]:
    """Pair labelmaps by the stems of their names; two single files are a pair whatever they are called.

    Parameters
    ----------
    reference, prediction:
        A folder of labelmaps (its subfolders are not searched) or one file, each.

    Returns
    -------
    list of Pair
        Sorted by case. Those without a partner are in it, too.

    Raises
    ------
    FileReadError
        A path does not exist, or a folder holds no labelmap.
    InputError
        Not one prediction has a reference.
    """
    references, predictions = _labelmaps("reference", reference), _labelmaps("prediction", prediction)
    if reference.is_file() and prediction.is_file():
        return [Pair(stem(reference), reference, prediction)]
    if not references.keys() & predictions.keys():
        names = [listed(sorted(files), EXAMPLES_LENGTH) for files in (references, predictions)]
        raise InputError(
            f"No prediction has the name of a reference: {names[0]} in {reference}, {names[1]} in {prediction}; "
            "give matching files the same name before the suffix."
        )
    cases = sorted(references.keys() | predictions.keys())
    return [Pair(case, references.get(case), predictions.get(case)) for case in cases]


def _labelmaps(role: str, path: Path) -> dict[str, Path]:
    """The labelmaps in a folder by stem, or the one file."""
    if path.is_file():
        return {stem(path): path}
    if not path.is_dir():
        raise FileReadError(
            f"Expected a folder or file of {role} labelmaps, but {path} does not exist; check the path."
        )
    # a case in several formats is read from the first of LABELMAP_FORMATS, which keeps names and colours;
    # the dot files that macOS leaves in archives look like images and are none
    files = [file for file in path.iterdir() if _kind(file) in LABELMAP_FORMATS and not file.name.startswith(".")]
    found = {stem(file): file for file in sorted(files, key=lambda file: -LABELMAP_FORMATS.index(_kind(file)))}
    if not found:
        raise FileReadError(
            f"Expected {role} labelmaps in {path} ({', '.join(LABELMAP_FORMATS)}), found none; check the path."
        )
    return found


def _kind(file: Path) -> str:
    return suffix(file).removeprefix(".")
