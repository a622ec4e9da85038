"""A model as plain data: a MONAI Bundle folder, read without torch.

``configs/metadata.json`` says what the model is (MONAI's keys, and a ``cnnseg`` block for what MONAI
has no key for); ``configs/inference.json`` says how it runs. Only data is read here: nothing of a
bundle is evaluated or imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import ModelError
from .labels import Label

TASKS = ("segmentation", "detection", "classification")
WEIGHTS_PATTERN = "models/*.safetensors"


@dataclass(frozen=True)
class Channel:
    """One input channel: the name users give, and the modality that it must have ("" for any)."""

    name: str
    modality: str
    description: str = ""


@dataclass(frozen=True)
class ModelPackage:
    """One model folder in MONAI Bundle form.

    Parameters
    ----------
    folder:
        The bundle's root.
    id, version, title, description:
        ``id`` is what users type (``hippocampus-mr``).
    task:
        One of ``TASKS``.
    channels:
        Input channels in the network's order.
    labels:
        What the output values mean, without background.
    licence, training_data, intended_use:
        For the model list and the record.
    metrics:
        As written by the trainer, for people.
    inference:
        ``configs/inference.json`` as plain data.
    extent_mm:
        Smallest and largest extent along R, A, S of the images that the model was trained on, or
        None when nobody measured it.
    """

    folder: Path
    id: str
    version: str
    title: str
    description: str
    task: str
    channels: tuple[Channel, ...]
    labels: tuple[Label, ...]
    licence: str
    training_data: str
    intended_use: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    inference: Mapping[str, Any] = field(default_factory=dict)
    extent_mm: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def modality(self) -> str:
        """The one modality of all channels, or several joined by ``+``."""
        return "+".join(dict.fromkeys(channel.modality for channel in self.channels))

    @property
    def weights_files(self) -> tuple[Path, ...]:
        """The weights, one file per ensemble member, in order of name."""
        return tuple(sorted(self.folder.glob(WEIGHTS_PATTERN)))

    @property
    def size_bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(path.stat().st_size for path in self.weights_files)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over ``configs/inference.json`` and the weights files: everything that decides a result."""
        digest = hashlib.sha256()
        for path in (self.folder / "configs" / "inference.json", *self.weights_files):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @classmethod
    def read(cls, folder: Path | str) -> ModelPackage:
        """Read a bundle's folder.

        Raises
        ------
        ModelError
            A file is missing or is not what it should be; the message names the file and the fault.
        """
        folder = Path(folder)
        metadata = _read_json(folder / "configs" / "metadata.json")
        inference = _read_json(folder / "configs" / "inference.json")
        if not list(folder.glob(WEIGHTS_PATTERN)):
            raise ModelError(f"The model {folder.name} has no weights ({WEIGHTS_PATTERN}); install it again.")
        try:
            own = metadata["cnnseg"]
            package = cls(
                folder=folder,
                id=str(own["id"]),
                version=str(metadata["version"]),
                title=str(own["title"]),
                description=str(metadata["description"]),
                task=str(own["task"]),
                channels=tuple(
                    Channel(str(c["name"]), str(c["modality"]), str(c.get("description", ""))) for c in own["channels"]
                ),
                labels=tuple(Label.from_json(label) for label in own["labels"]),
                licence=str(own["licence"]),
                training_data=str(metadata["data_source"]),
                intended_use=str(metadata["intended_use"]),
                metrics=metadata.get("eval_metrics", {}),
                inference=inference,
                extent_mm=_read_extent(own.get("extent_mm")),
            )
        except KeyError as error:
            raise ModelError(
                f"The model {folder.name} lacks {error} in configs/metadata.json; see docs/models.md."
            ) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"The model {folder.name} has a wrong value in configs/metadata.json: {error}.") from error
        if package.task not in TASKS:
            raise ModelError(f"The model {package.id} has task {package.task!r}; expected one of {', '.join(TASKS)}.")
        if not package.channels or len({label.value for label in package.labels}) != len(package.labels):
            raise ModelError(f"The model {package.id} needs at least one channel, and label values that differ.")
        return package


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"The model {path.parents[1].name} lacks {path.parent.name}/{path.name}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no valid JSON: {error}.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(data).__name__}.")
    return data


def _read_extent(data: Mapping[str, Any] | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if data is None:
        return None
    low, high = (tuple(float(mm) for mm in data[end]) for end in ("low", "high"))
    if len(low) != 3 or len(high) != 3:
        raise ValueError("extent_mm needs low and high with three numbers each")
    return low, high
