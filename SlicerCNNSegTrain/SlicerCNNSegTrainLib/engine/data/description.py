"""``dataset.json``: what a data set says about itself, in the words of the Decathlon or of nnU-Net."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.labels import Label

from .cases import Description

NAME = "dataset.json"

ABOUT = {
    "name": "name",
    "description": "description",
    "reference": "reference",
    "license": "licence",
    "licence": "licence",
}
"""Keys that tell about the data, and what they are called here."""


def read_description(folder: Path) -> Description:
    """The ``dataset.json`` of a folder; an empty description where there is none.

    Read are ``channel_names`` (nnU-Net v2) or ``modality`` (Decathlon), ``labels`` in either form,
    ``file_ending`` (nnU-Net v2), what is told about the data (``ABOUT``), and what is ours: ``patients``, an object of
    case id to patient, and ``structures``, the labels with colours and codes.

    Raises
    ------
    FileReadError
        It is no JSON, or one of these is not in the form that is expected.
    """
    path = folder / NAME
    if not path.exists():
        return Description()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        channels = data.get("channel_names", data.get("modality", {}))
        return Description(
            channels=tuple(str(channels[key]) for key in sorted(channels, key=int)),
            labels=_labels(data.get("labels", {})),
            patients={str(case): str(patient) for case, patient in data.get("patients", {}).items()},
            file_ending=str(data.get("file_ending", "")),
            about={ours: str(data[key]) for key, ours in ABOUT.items() if data.get(key)},
            structures=_structures(data.get("structures")),
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise FileReadError(
            f"{path} cannot be read ({error}); expected an object with channel_names, labels and patients, "
            "as in nnU-Net or the Medical Segmentation Decathlon."
        ) from error


def _structures(given: Any) -> dict[int, Label]:
    """The labels that ``scene/dataset.py`` writes; another program's list of that name tells nothing."""
    try:
        return {label.value: label for label in map(Label.from_json, given or ())}
    except (TypeError, ValueError, KeyError, AttributeError):
        return {}


def _labels(given: Mapping[str, Any]) -> dict[int, str]:
    """Value to name: the Decathlon writes ``{"1": "liver"}``, nnU-Net ``{"liver": 1}`` or, for regions, a list."""
    labels: dict[int, str] = {}
    for key, value in given.items():
        if isinstance(value, str):
            labels[int(key)] = value
        else:
            values = value if isinstance(value, list) else [value]
            labels |= {int(number): labels.get(int(number), key) for number in values}
    return dict(sorted(labels.items()))
