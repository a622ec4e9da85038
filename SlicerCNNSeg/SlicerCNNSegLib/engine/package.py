"""A model as plain data: a MONAI Bundle folder, read without torch.

``configs/metadata.json`` says what the model is (MONAI's keys, and a ``cnnseg`` block for what MONAI
has no key for); ``configs/inference.json`` says how it runs. Only data is read here: nothing of a
bundle is imported. A bundle without the block is one that others made: ``bundles`` reads those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .bundles.facts import facts_of
from .bundles.reading import SIGMOID, Bundle, look_through, without_looking
from .bundles.trust import trusted_sha256
from .errors import ConfigError, ModelError
from .labels import ClassLabel, Label
from .nnunet.plan import BLOCK as NNUNET_BLOCK
from .overlaps import highest_code

TASKS = ("segmentation", "detection", "classification")
WEIGHTS_PATTERN = "models/*.safetensors"
OWN_BLOCK = "cnnseg"
"""What tells our own metadata from those that others write."""

DEMONSTRATION = "demonstration"
"""How the intended use of a model begins that is made to show what CNNSeg does, not to be relied on."""

FIRST_STAGE = Path("models") / "first_stage"
"""Where a cascade of nnU-Net's keeps its first stage: a model folder of its own."""

OWN, BUNDLE, NNUNET = "own", "bundle", "nnunet"
"""Forms of a model: our own, a bundle that others made, and our own with what nnU-Net trained."""


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
    bundle:
        Of a bundle that others made: what was found in its config. None for our own form.
    half_precision:
        Whoever made the model has found bfloat16 as good as float32 on cases that it was not trained on.
    classes, multi_label:
        Of a classifier: what it tells apart, in the order of its scores; whether classes don't exclude each other.
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
    bundle: Bundle | None = None
    classes: tuple[ClassLabel, ...] = ()
    multi_label: bool = False
    half_precision: bool = False

    @property
    def demonstration(self) -> str:
        """What the user of a demonstration must know; "" of any other model."""
        return self.intended_use if self.intended_use.lower().startswith(DEMONSTRATION) else ""

    @property
    def modality(self) -> str:
        """The one modality of all channels, or several joined by ``+``."""
        return "+".join(dict.fromkeys(channel.modality for channel in self.channels))

    @property
    def form(self) -> str:
        """``OWN``, ``BUNDLE`` or ``NNUNET``: which part of the engine runs it."""
        if self.bundle is not None:
            return BUNDLE
        return NNUNET if NNUNET_BLOCK in self.inference else OWN

    @property
    def weights_files(self) -> tuple[Path, ...]:
        """The weights, one file per ensemble member, in order of name."""
        if self.bundle is not None:
            return (self.bundle.weights,)
        return tuple(sorted(self.folder.glob(WEIGHTS_PATTERN)))

    @property
    def first_stage(self) -> ModelPackage | None:
        """Of a cascade of nnU-Net's the model that goes before it."""
        folder = self.folder / FIRST_STAGE
        return ModelPackage.read(folder) if self.form == NNUNET and folder.is_dir() else None

    @property
    def size_bytes(self) -> int:
        """Size of the weights on disk."""
        own = sum(path.stat().st_size for path in self.weights_files)
        return own + (self.first_stage.size_bytes if self.first_stage else 0)

    @property
    def highest_value(self) -> int:
        """The largest value that a labelmap of this model can have."""
        if self.bundle is not None and self.bundle.layered:
            return highest_code(len(self.labels), self.id)
        return max(label.value for label in self.labels)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over everything that decides a result.

        Those are ``configs/inference.json`` and the weights, and those of a cascade's first stage; of a bundle that
        others made every file, with its path.
        """
        digest = hashlib.sha256()
        if self.bundle is not None:
            for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
                with path.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                digest.update(f"{path.relative_to(self.folder).as_posix()}\0{content}\n".encode())
            return digest.hexdigest()
        for path in (self.folder / "configs" / "inference.json", *self.weights_files):
            digest.update(path.read_bytes())
        if self.first_stage is not None:
            digest.update(self.first_stage.sha256.encode())
        return digest.hexdigest()

    @classmethod
    def read(cls, folder: Path | str, *, refused: bool = False) -> ModelPackage:
        """Read a bundle's folder.

        Parameters
        ----------
        refused:
            Read one that others made also when its config is refused and nobody has trusted it: it can be described,
            not run.

        Raises
        ------
        ModelError
            A file is missing or is not what it should be; the message names the file and the fault.
        """
        folder = Path(folder)
        metadata = _read_json(folder / "configs" / "metadata.json")
        if OWN_BLOCK not in metadata:
            return cls._read_bundle(folder, metadata, refused)
        inference = _read_json(folder / "configs" / "inference.json")
        if not list(folder.glob(WEIGHTS_PATTERN)):
            raise ModelError(f"The model {folder.name} has no weights ({WEIGHTS_PATTERN}); install it again.")
        try:
            own = metadata[OWN_BLOCK]
            classifies = own["task"] == "classification"
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
                labels=() if classifies else tuple(Label.from_json(label) for label in own["labels"]),
                classes=tuple(ClassLabel.from_json(one) for one in own["classes"]) if classifies else (),
                multi_label=bool(own.get("multi_label", False)),
                half_precision=bool(own.get("half_precision", False)),
                licence=str(own["licence"]),
                training_data=str(metadata["data_source"]),
                intended_use=str(metadata["intended_use"]),
                metrics=metadata.get("eval_metrics", {}),
                inference=inference,
                extent_mm=_read_extent(own.get("extent_mm")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _fault(folder, error) from error
        if package.task not in TASKS:
            raise ModelError(f"The model {package.id} has task {package.task!r}; expected one of {', '.join(TASKS)}.")
        if not package.channels or len({label.value for label in package.labels}) != len(package.labels):
            raise ModelError(f"The model {package.id} needs at least one channel, and label values that differ.")
        return package

    @classmethod
    def _read_bundle(cls, folder: Path, metadata: Mapping[str, Any], refused: bool) -> ModelPackage:
        """Read a bundle that others made."""
        try:
            facts = facts_of(folder, metadata)
            try:
                bundle = look_through(folder, flat=facts.flat, task=facts.task)
            except ConfigError:
                if not refused and trusted_sha256(folder) is None:
                    raise
                bundle = without_looking(folder, flat=facts.flat, task=facts.task)
            facts = facts_of(folder, metadata, bundle.image_keys)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _fault(folder, error) from error
        labels, classes = facts.labels(layered=bundle.layered), facts.classes()
        if not labels and not classes:
            raise ModelError(f"The bundle {folder.name} names no structure in its output's channel_def.")
        return cls(
            folder=folder,
            id=folder.absolute().name,
            version=facts.version,
            title=facts.title,
            description=facts.description,
            task=facts.task,
            channels=tuple(Channel(name, facts.modality) for name in facts.channels),
            labels=labels,
            licence=facts.licence,
            training_data=facts.training_data,
            intended_use=facts.intended_use,
            metrics=facts.metrics,
            bundle=bundle,
            classes=classes,
            multi_label=bundle.activation == SIGMOID,
        )


def is_foreign(folder: Path) -> bool:
    """Whether a folder is a bundle that others made.

    Raises
    ------
    ModelError
        Its metadata cannot be read.
    """
    return OWN_BLOCK not in _read_json(folder / "configs" / "metadata.json")


def _fault(folder: Path, error: Exception) -> ModelError:
    if isinstance(error, KeyError):
        return ModelError(f"The model {folder.name} lacks {error} in configs/metadata.json; see docs/models.md.")
    return ModelError(f"The model {folder.name} has a wrong value in configs/metadata.json: {error}.")


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
