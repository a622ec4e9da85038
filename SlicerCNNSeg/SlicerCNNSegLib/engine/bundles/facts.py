"""What the metadata of a MONAI Bundle say: task, channels, structures, licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..labels import Label
from .terms import label_of

SEGMENTATIONS = ("segmentation", "labels")
"""Values of ``format`` with which bundles of the Model Zoo say that their output is one."""

BACKGROUND = ("background", "bg", "everything else", "other")
MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT", "US": "US", "MG": "MG", "XA": "XA"}
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "license.txt", "LICENSE.md")
LICENCE_BYTES = 4_000
LICENCES = {"Apache License": "Apache-2.0", "MIT License": "MIT", "Attribution 4.0 International": "CC-BY-4.0"}
"""Names of licences by what stands at the top of their texts."""


@dataclass(frozen=True)
class Facts:
    """A bundle's metadata in the words of ``package.ModelPackage``.

    Parameters
    ----------
    channels:
        Names of the input's channels, and the one modality ("" for any).
    names:
        Of the output's channels, background included, in order; "" where it has none.
    """

    version: str
    title: str
    description: str
    licence: str
    training_data: str
    intended_use: str
    metrics: Mapping[str, Any]
    channels: tuple[str, ...]
    modality: str
    names: tuple[str, ...]
    flat: bool

    @property
    def background(self) -> bool:
        """Whether the output's first channel is background."""
        return self.names[0].lower() in BACKGROUND

    def classes(self) -> tuple[Label, ...]:
        """A label for each class after the first, which is background."""
        return tuple(label_of(value, name) for value, name in enumerate(self.names) if value)

    def layers(self) -> tuple[Label, ...]:
        """A label for each channel that is no background, numbered from 1."""
        return tuple(label_of(value, name) for value, name in enumerate(self.names[int(self.background) :], start=1))


def facts_of(folder: Path, metadata: Mapping[str, Any], image_keys: Sequence[str] = ()) -> Facts:
    """Read the metadata.

    Parameters
    ----------
    image_keys:
        What the preprocessing loads; where there are as many as channels, they name them.

    Raises
    ------
    ModelError
        It is no bundle for segmentation.
    KeyError, TypeError, ValueError, AttributeError
        Something is missing or of another form.
    """
    data = metadata["network_data_format"]
    output = dict(data["outputs"].get("pred") or next(iter(data["outputs"].values())))
    kind = str(output.get("format", "")).lower()
    if str(output.get("type", "image")) != "image" or kind not in SEGMENTATIONS:
        raise ModelError(
            f"The bundle {folder.name} gives no segmentation (its output is of type {output.get('type')!r} and format "
            f"{kind!r}); only segmentation bundles of others are run."
        )
    inputs = [data["inputs"][key] for key in image_keys if key in data["inputs"]]
    inputs = inputs or [data["inputs"].get("image") or next(iter(data["inputs"].values()))]
    channels = [name for given in inputs for name in _named(given, "channel_def", "channel {}")]
    if len(image_keys) == len(channels) > 1:
        channels = list(image_keys)
    modality = str(inputs[0].get("modality", "")).upper()
    return Facts(
        version=str(metadata["version"]),
        title=str(metadata.get("name") or metadata.get("task") or folder.name),
        description=str(metadata.get("description", "")),
        licence=_licence(folder, metadata),
        training_data=str(metadata.get("data_source", "not given")),
        intended_use=str(metadata.get("intended_use", "not given")),
        metrics=dict(metadata.get("eval_metrics") or {}),
        channels=tuple(_apart(channels)),
        modality=MODALITIES.get(modality, ""),
        names=tuple(_apart(_named(output, "channel_def" if "channel_def" in output else "label_def", "class {}"))),
        flat=len(inputs[0].get("spatial_shape") or ()) == 2,
    )


def _named(given: Mapping[str, Any], key: str, otherwise: str) -> list[str]:
    """The names of channels 0, 1, ..., as many as there are."""
    names = {int(number): str(name) for number, name in dict(given.get(key) or {}).items()}
    count = max(int(given.get("num_channels", 0)), *(number + 1 for number in names), 1)
    if count > 1000 or min(names, default=0) < 0:
        raise ValueError(f"{count} channels")
    return [names.get(number) or otherwise.format(number) for number in range(count)]


def _apart(names: Sequence[str]) -> list[str]:
    """The same names, those that come twice with a number."""
    counts, seen, apart = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        apart.append(f"{name} {seen[name]}" if counts[name] > 1 else name)
    return apart


def _licence(folder: Path, metadata: Mapping[str, Any]) -> str:
    """The licence by name where its text is known, else what the metadata say of it."""
    for name in LICENCE_FILES:
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                text = stream.read(LICENCE_BYTES).decode("utf-8", "replace")
            known = next((licence for words, licence in LICENCES.items() if words in text), "")
            return known or f"see {name}"
    return str(metadata.get("license", "not given"))
