"""What the metadata of a MONAI Bundle say: task, channels, structures, licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..labels import ClassLabel, Label
from .names import CLASSIFICATION, DETECTION, SEGMENTATION
from .terms import label_of

SEGMENTATIONS, CLASSES, OBJECTS = ("segmentation", "labels"), "classes", "object"
"""Values of ``format``, and of ``type``, with which bundles of the Model Zoo say what their output is."""

NOT_THE_OBJECT = ("detection", "ct", "mr", "mri")
"""Words of a detection's ``task`` that don't name what is detected ("CT lung nodule detection")."""

BACKGROUND = ("background", "bg", "everything else", "other")
MODALITIES = {
    **{code: code for code in ("CT", "MR", "PT", "US", "MG", "XA")},
    "MRI": "MR",
    "PET": "PT",
    "MAMMOGRAM": "MG",
}
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "license.txt", "LICENSE.md")
LICENCE_BYTES = 4_000
LICENCES = {"Apache License": "Apache-2.0", "MIT License": "MIT", "Attribution 4.0 International": "CC-BY-4.0"}
"""Names of licences by what stands at the top of their texts."""


@dataclass(frozen=True)
class Facts:
    """A bundle's metadata in the words of ``package.ModelPackage``.

    Parameters
    ----------
    task:
        What it does.
    channels:
        Names of the input's channels, and the one modality ("" for any).
    names:
        Of the output's channels, background included, in order; of a detection what is detected.
    """

    task: str
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

    def labels(self, *, layered: bool) -> tuple[Label, ...]:
        """What the values of a segmentation mean, or of a detection what is found; empty for a classification."""
        if self.task == CLASSIFICATION:
            return ()
        if self.task == DETECTION:
            return (label_of(1, self.names[0]),)
        return self._layers() if layered else self._structures()

    def classes(self) -> tuple[ClassLabel, ...]:
        """What a classification tells apart; empty for the other tasks."""
        return tuple(ClassLabel(name) for name in self.names) if self.task == CLASSIFICATION else ()

    def _structures(self) -> tuple[Label, ...]:
        """A label for each class after the first, which is background."""
        return tuple(label_of(value, name) for value, name in enumerate(self.names) if value)

    def _layers(self) -> tuple[Label, ...]:
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
        It is no bundle for segmentation, detection or classification.
    KeyError, TypeError, ValueError, AttributeError
        Something is missing or of another form.
    """
    data = metadata["network_data_format"]
    output = dict(data["outputs"].get("pred") or next(iter(data["outputs"].values())))
    task = _task(folder, output)
    inputs = [data["inputs"][key] for key in image_keys if key in data["inputs"]]
    inputs = inputs or [data["inputs"].get("image") or next(iter(data["inputs"].values()))]
    channels = [name for given in inputs for name in _named(given, "channel_def", "channel {}")]
    if len(image_keys) == len(channels) > 1:
        channels = list(image_keys)
    modality = str(inputs[0].get("modality", "")).upper()
    names = _named(output, "channel_def" if "channel_def" in output else "label_def", "class {}")
    return Facts(
        task=task,
        version=str(metadata["version"]),
        title=str(metadata.get("name") or metadata.get("task") or folder.name),
        description=str(metadata.get("description", "")),
        licence=_licence(folder, metadata),
        training_data=str(metadata.get("data_source", "not given")),
        intended_use=str(metadata.get("intended_use", "not given")),
        metrics=dict(metadata.get("eval_metrics") or {}),
        channels=tuple(_apart(channels)),
        modality=MODALITIES.get(modality, ""),
        names=(_detected(metadata),) if task == DETECTION else tuple(_apart(names)),
        flat=len(inputs[0].get("spatial_shape") or ()) == 2,
    )


def _task(folder: Path, output: Mapping[str, Any]) -> str:
    """What a bundle does, by its output."""
    kind, of = str(output.get("format", "")).lower(), str(output.get("type", "image")).lower()
    if of == OBJECTS and int(output.get("num_channels", 1)) == 1:
        return DETECTION
    if kind == CLASSES or (kind in SEGMENTATIONS and output.get("spatial_shape") == [1, output.get("num_channels")]):
        return CLASSIFICATION
    if of == "image" and kind in SEGMENTATIONS:
        return SEGMENTATION
    raise ModelError(
        f"The bundle {folder.name} gives no segmentation (its output is of type {of!r} and format {kind!r}), and "
        "neither objects of one kind nor classes; no other bundles are run."
    )


def _detected(metadata: Mapping[str, Any]) -> str:
    """What a detection finds, by the words of its task."""
    words = [word for word in str(metadata.get("task", "")).split() if word.lower() not in NOT_THE_OBJECT]
    return " ".join(words).capitalize() or "Finding"


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
