"""Images without labels, to pretrain on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from SlicerCNNSegLib.engine.errors import FileReadError

from .folder import CHANNEL, NIFTI


@dataclass(frozen=True)
class UnlabelledCase:
    """One image, one file per channel."""

    id: str
    images: tuple[Path, ...]


def read_unlabelled(folder: Path, channels: int) -> list[UnlabelledCase]:
    """The images of a folder or of its ``imagesTr``, in the order of their names; labels are not looked at.

    Parameters
    ----------
    folder:
        With files ``NAME.nii.gz``, or, for several channels, ``NAME_0000.nii.gz``, ``NAME_0001.nii.gz``.
    channels:
        How many files a case has.

    Raises
    ------
    FileReadError
        There are no images, or a case has another number of channels.
    """
    place = folder / "imagesTr" if (folder / "imagesTr").is_dir() else folder
    files = sorted(path for path in place.glob("*") if path.name.endswith(NIFTI) and not path.name.startswith("."))
    if not files:
        raise FileReadError(f"Expected images (.nii.gz or .nii) in {place}, found none.")
    cases: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        match = CHANNEL.fullmatch(name)
        cases[match["case"] if match else name].append(path)
    for case_id, paths in cases.items():
        if len(paths) != channels:
            raise FileReadError(f"Expected {channels} channels of each case in {place}, got {len(paths)} of {case_id}.")
    return [UnlabelledCase(case_id, tuple(paths)) for case_id, paths in cases.items()]
