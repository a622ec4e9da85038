"""Cases of a folder in the form of the Medical Segmentation Decathlon or of nnU-Net."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from SlicerCNNSegLib.engine.errors import FileReadError

from .cases import TrainingCase, TrainingData
from .description import read_description

CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
"""nnU-Net's names of image files, without suffix: ``case_0000``, ``case_0001``, one per channel."""

NIFTI = (".nii.gz", ".nii")


def read_folder(folder: Path) -> TrainingData:
    """Cases of a folder with ``imagesTr`` and ``labelsTr``, in the order of their file names.

    An image and a label of one name belong together (Decathlon). Images ``NAME_0000``, ``NAME_0001``
    without labels of these names are the channels of the case with the label ``NAME`` (nnU-Net).
    Every case is a patient of its own, unless ``dataset.json`` has an object ``patients`` from case id
    to patient.

    Raises
    ------
    FileReadError
        A folder is missing or empty, an image has no label, a case lacks a channel that others have,
        or ``dataset.json`` cannot be read.
    """
    images, labels = folder / "imagesTr", folder / "labelsTr"
    description = read_description(folder)
    endings = (description.file_ending,) if description.file_ending else NIFTI
    files = sorted(path for path in images.glob("*") if path.name.endswith(endings) and not path.name.startswith("."))
    if not files:
        form = f"imagesTr/NAME{endings[0]}, labelsTr/NAME{endings[0]}"
        raise FileReadError(f"Expected images in {images} ({form}), found none.")
    channels: dict[str, list[Path]] = defaultdict(list)
    found, unlabelled = {}, []
    for path in files:
        name = path.name.removesuffix(_ending(path, endings))
        match = CHANNEL.fullmatch(name)
        label = next((one for one in _labels_of(labels, name, match, endings) if one.exists()), None)
        if label is None:
            unlabelled.append(path.name)
            continue
        case_id = label.name.removesuffix(_ending(label, endings))
        channels[case_id].append(path)
        found[case_id] = label
    if unlabelled:
        raise FileReadError(
            f"{len(unlabelled)} images have no label in {labels} (first: {unlabelled[0]}); "
            "add their labels or move the images away."
        )
    most = max(map(len, channels.values()))
    short = [case_id for case_id, paths in channels.items() if len(paths) < most]
    if short:
        raise FileReadError(
            f"{len(short)} cases in {images} have fewer than {most} channels (first: {short[0]}); "
            "add the files that are missing or move the cases away."
        )
    cases = (
        TrainingCase(case_id, tuple(paths), found[case_id], description.patients.get(case_id, case_id))
        for case_id, paths in channels.items()
    )
    return TrainingData(folder, tuple(cases), description)


def _ending(path: Path, endings: tuple[str, ...]) -> str:
    return next(ending for ending in endings if path.name.endswith(ending))


def _labels_of(labels: Path, name: str, match: re.Match[str] | None, endings: tuple[str, ...]) -> list[Path]:
    """Where the label of an image may lie, the likeliest first: its own name goes before nnU-Net's."""
    names = [name, match["case"]] if match else [name]
    return [labels / f"{one}{ending}" for one in names for ending in endings]
