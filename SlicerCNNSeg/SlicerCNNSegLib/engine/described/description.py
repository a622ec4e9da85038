"""What must be said of bare weights before they are a model: a JSON file, or answers to questions.

::

    {"id": "brain-unet", "network": {"_target_": "UNet", "channels": [16, 32], "strides": [2]}, "channels": ["T1:MR"],
     "labels": ["white matter", "grey matter"], "spacing_mm": [1, 1, 1], "orientation": "RAS",
     "normalisation": "z-score", "window": [96, 96, 96]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..bundles.terms import label_of
from ..errors import SettingsError
from ..files.paths import safe_name
from ..package import OWN_BLOCK

NORMALISATIONS = "'none', 'z-score', 'z-score of what is not zero', or two numbers that become 0 and 1"
MATCHES = ("name", "order")

QUESTIONS = {
    "id": "What to call the model (letters, digits, - and _)",
    "network": 'The network, a registered name and arguments as JSON: {"_target_": "UNet", "channels": [16, 32] ...}',
    "channels": "Input channels in order, each NAME or NAME:MODALITY, with commas between (T1:MR, T2:MR)",
    "labels": "Structures in the order of the network's classes, without background, with commas between",
    "spacing_mm": "Voxel size along the network's axes in mm, three numbers with commas between (0: the image's own)",
    "orientation": "Where the network's axes run to (RAS, LPS ...)",
    "normalisation": f"How intensities are normalised: {NORMALISATIONS}",
    "window": "Window in voxels along the network's axes, with commas between",
}
"""What has no usual value, and how to ask for it."""

FURTHER_QUESTIONS = {
    "match": "How the weights fit: by name, or by order where another program named its layers otherwise (Enter: name)",
}
"""What has a usual value that is often another one, and how to ask for it."""


@dataclass(frozen=True)
class Description:
    """A model, as its user describes it.

    Parameters
    ----------
    network:
        ``_target_`` and arguments of a registered network; dimensions and numbers of channels and classes may be left
        out.
    channels:
        ``NAME`` or ``NAME:MODALITY``.
    labels:
        Names in the order of the classes after background.
    spacing_mm, orientation, normalisation:
        Of network space; see ``QUESTIONS``.
    window, overlap, slices, mirror_axes:
        As in ``configs/inference.json``.
    match:
        ``name``, or ``order`` where the weights have other names but stand in the same order.
    title, description, licence, training_data, intended_use, version:
        For people.

    Raises
    ------
    SettingsError
        A value makes no sense.
    """

    id: str
    network: Mapping[str, Any]
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    normalisation: str | tuple[float, ...]
    window: tuple[int, ...]
    overlap: float = 0.5
    slices: int = 0
    mirror_axes: tuple[int, ...] = ()
    match: str = MATCHES[0]
    title: str = ""
    description: str = ""
    licence: str = "not stated"
    training_data: str = "not stated"
    intended_use: str = "Research."
    version: str = "1.0"
    postprocess: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if safe_name(self.id) != self.id:
            raise SettingsError(f"Expected an id of letters, digits, - and _, got {self.id!r}.")
        if not isinstance(self.network, Mapping) or "_target_" not in self.network:
            raise SettingsError(f"Expected a network as an object with _target_, got {self.network!r}.")
        if not self.channels or not self.labels or len(set(self.labels)) != len(self.labels):
            raise SettingsError("Expected at least one channel, and at least one label, whose names differ.")
        if len(self.spacing_mm) != 3 or min(self.spacing_mm) < 0:
            raise SettingsError(f"Expected a spacing of three numbers from 0 on, got {self.spacing_mm}.")
        if sorted(self.orientation.upper().translate(str.maketrans("LPI", "RAS"))) != ["A", "R", "S"]:
            raise SettingsError(f"Expected an orientation such as RAS or LPS, got {self.orientation!r}.")
        if self.match not in MATCHES:
            raise SettingsError(f"Expected match to be one of {', '.join(MATCHES)}, got {self.match!r}.")
        self.intensity()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Description:
        """From the plain form; lists may also be texts with commas, as people answer.

        Raises
        ------
        SettingsError
            Something is missing, unknown or makes no sense; the message names it.
        """
        known = {one.name for one in fields(cls)}
        missing, unknown = [key for key in QUESTIONS if key not in data], sorted(set(data) - known)
        if missing or unknown:
            what = f"lacks {', '.join(missing)}" if missing else f"has the unknown {', '.join(unknown)}"
            raise SettingsError(f"The description of the model {what}; see 'cnnseg models import --help'.")
        values = dict(data)
        readers = {"channels": str, "labels": str, "spacing_mm": float, "window": int, "mirror_axes": int}
        try:
            for key, reader in readers.items():
                if key in values:
                    values[key] = tuple(reader(part) for part in parts_of(values[key]))
            values["normalisation"] = _normalisation(values["normalisation"])
            values["overlap"], values["slices"] = float(values.get("overlap", 0.5)), int(values.get("slices", 0))
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise SettingsError(f"The description of the model has a value that makes no sense: {error}.") from error

    @classmethod
    def read(cls, path: Path) -> dict[str, Any]:
        """The plain form in a JSON file, which may be incomplete.

        Raises
        ------
        SettingsError
            There is no such file, or it is no JSON object.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(f"Expected a JSON file that describes the model, got {path} ({error}).") from error
        if not isinstance(data, dict):
            raise SettingsError(f"Expected a JSON object in {path}, got {type(data).__name__}.")
        return data

    def intensity(self) -> list[dict[str, Any]]:
        """MONAI's transforms for the normalisation."""
        if isinstance(self.normalisation, tuple):
            if len(self.normalisation) != 2 or self.normalisation[0] >= self.normalisation[1]:
                raise SettingsError(f"Expected two numbers, the smaller one first, got {self.normalisation}.")
            low, high = self.normalisation
            scale = {"a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True}
            return [{"_target_": "ScaleIntensityRanged", "keys": "image", **scale}]
        scores = {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True}
        found: dict[str, list[dict[str, Any]]] = {
            "none": [],
            "z-score": [scores],
            "z-score of what is not zero": [{**scores, "nonzero": True}],
        }
        if self.normalisation not in found:
            raise SettingsError(f"Expected a normalisation out of {NORMALISATIONS}; got {self.normalisation!r}.")
        return found[self.normalisation]

    def inference(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """``configs/inference.json``, with the complete definition of the network."""
        transforms = [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": self.orientation.upper()},
            {"_target_": "Spacingd", "keys": "image", "pixdim": list(self.spacing_mm), "mode": "bilinear"},
            *self.intensity(),
        ]
        return {
            "network_def": dict(definition),
            "preprocessing": {"_target_": "Compose", "transforms": transforms},
            "inferer": {"_target_": "SlidingWindowInferer", "roi_size": list(self.window), "overlap": self.overlap},
            OWN_BLOCK: {
                "slices": self.slices,
                "mirror_axes": list(self.mirror_axes),
                "postprocess": dict(self.postprocess),
            },
        }

    def metadata(self) -> dict[str, Any]:
        """``configs/metadata.json``."""
        channels = [channel.partition(":") for channel in self.channels]
        return {
            "version": self.version,
            "description": self.description or f"Weights that were imported as {self.id}.",
            "data_source": self.training_data,
            "intended_use": self.intended_use,
            OWN_BLOCK: {
                "id": self.id,
                "title": self.title or self.id,
                "task": "segmentation",
                "licence": self.licence,
                "channels": [{"name": name.strip(), "modality": modality.strip()} for name, _, modality in channels],
                "labels": [label_of(value, name).to_json() for value, name in enumerate(self.labels, start=1)],
            },
        }


def parts_of(value: Any) -> Sequence[Any]:
    """A list, or the parts of a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value)


def _normalisation(value: Any) -> str | tuple[float, ...]:
    """A name, or two numbers in a list or a text."""
    if isinstance(value, str) and "," not in value:
        return value.strip()
    return tuple(float(part) for part in parts_of(value))
