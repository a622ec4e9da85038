"""Which predicted labelmap belongs to which reference (heavy: the labelmaps' reader)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import FileReadError, InputError
from .files.labelmaps import FORMATS
from .files.paths import stem


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
        raise InputError(
            f"No prediction has the name of a reference: {_examples(references)} in {reference}, "
            f"{_examples(predictions)} in {prediction}; give matching files the same name before the suffix."
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
    found: dict[str, Path] = {}
    # a case in several formats is read from the first of FORMATS, which keeps names and colours;
    # the dot files that macOS leaves in archives look like images and are none
    for suffix in reversed(FORMATS):
        for file in path.glob(f"[!.]*.{suffix}"):
            found[stem(file)] = file
    if not found:
        raise FileReadError(f"Expected {role} labelmaps in {path} ({', '.join(FORMATS)}), found none; check the path.")
    return found


def _examples(files: dict[str, Path]) -> str:
    """Two of the stems and how many more there are."""
    first = sorted(files)[:2]
    more = len(files) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
