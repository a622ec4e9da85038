"""Labelled cases, as plain data, whichever way they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from SlicerCNNSegLib.engine.labels import Label

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
"""What the column ``split`` of a table may say."""


class PatientCase(Protocol):
    """What dividing cases needs to know of each."""

    @property
    def id(self) -> str:
        """Unique in its data."""

    @property
    def patient(self) -> str:
        """Cases of one patient are never divided between training and validation."""

    @property
    def split(self) -> str:
        """One of ``SPLITS`` where the data fixes it, else empty."""


AnyCase = TypeVar("AnyCase", bound=PatientCase)


@dataclass(frozen=True)
class TrainingCase:
    """One image (one file per channel) with its label file.

    Parameters
    ----------
    id:
        Names the case's files; unique in its data.
    images, label:
        Files.
    patient:
        Cases of one patient are never divided between training and validation.
    split:
        One of ``SPLITS`` where the data fixes it, else empty.
    """

    id: str
    images: tuple[Path, ...]
    label: Path
    patient: str
    split: str = ""


@dataclass(frozen=True)
class ClassifiedImage:
    """One image (one file per channel) and the classes that it is of.

    Parameters
    ----------
    id, images, patient, split:
        As of a ``TrainingCase``.
    classes:
        Names: one, or, where classes don't exclude each other, any number.
    mask:
        What a network of two tasks learns to outline, on the image's grid; None without.
    shares:
        How much speaks for each of the recipe's classes, as several readers share their votes; sum 1. Empty where all
        speaks for ``classes``; without ``classes`` the image is trained on and never judged by.
    """

    id: str
    images: tuple[Path, ...]
    classes: tuple[str, ...]
    patient: str
    split: str = ""
    mask: Path | None = None
    shares: tuple[float, ...] = ()

    @property
    def is_only_trained(self) -> bool:
        """Whether nothing can be judged by it."""
        return bool(self.shares) and not self.classes


@dataclass(frozen=True)
class Mark:
    """A nodule: its middle in RAS mm and its diameter in mm."""

    center_ras_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class MarkedImage:
    """One image and the nodules in it.

    Parameters
    ----------
    id, images, patient, split:
        As of a ``TrainingCase``.
    marks:
        The nodules; none of an image without any.
    """

    id: str
    images: tuple[Path, ...]
    marks: tuple[Mark, ...]
    patient: str
    split: str = ""


@dataclass(frozen=True)
class Description:
    """What a ``dataset.json`` says about its data; empty where it says nothing.

    Parameters
    ----------
    channels:
        Names of the images' channels, in order.
    labels:
        Label value to name, with background.
    patients:
        Case id to patient.
    file_ending:
        Suffix of all image and label files, as nnU-Net names it.
    about:
        ``name``, ``description``, ``reference`` and ``licence`` of the data, those that are told.
    structures:
        Label value to colour and codes, of those that are told.
    """

    channels: tuple[str, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)
    file_ending: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    structures: Mapping[int, Label] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingData:
    """All cases of a folder or table, and what is told about them."""

    path: Path
    cases: tuple[TrainingCase, ...]
    description: Description
