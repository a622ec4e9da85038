"""What there is to learn in data: its tasks, and their labels, each with the number of cases that hold it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.rows import read_rows
from SlicerCNNSegLib.engine.progress import Progress, advance

from .cases import ClassifiedImage, MarkedImage, PatientCase, TrainingCase, TrainingData
from .classes import CLASS, read_classified
from .colors import label_color
from .label_choice import generic_name, is_ignored, structures_told
from .manifest import IMAGE
from .marks import read_marked
from .read import read_data
from .tasks import CLASSIFICATION, DETECTION, SEGMENTATION, tasks_of, yes_no_columns

NODULE = "Nodule"
"""The one thing that a detector is trained to find."""


@dataclass(frozen=True)
class FoundLabel:
    """A structure, a class, or what is detected.

    Parameters
    ----------
    name:
        What it is called.
    cases:
        How many hold it; None as long as nobody has counted.
    value:
        In the label files; 0 where there are none.
    color:
        Red, green, blue from 0 to 1.
    """

    name: str
    cases: int | None
    value: int = 0
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Contents:
    """What there is to learn.

    Parameters
    ----------
    tasks:
        As ``tasks_of`` gives them.
    labels:
        Of each task that the data allows.
    cases:
        Of each task: ids and splits, in the data's order.
    """

    tasks: Mapping[str, str]
    labels: Mapping[str, tuple[FoundLabel, ...]]
    cases: Mapping[str, tuple[tuple[str, str], ...]]

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contents:
        """From the plain form."""
        labels = {
            task: tuple(FoundLabel(**label | {"color": tuple(label["color"])}) for label in found)
            for task, found in data["labels"].items()
        }
        cases = {task: tuple((name, split) for name, split in ids) for task, ids in data["cases"].items()}
        return cls(data["tasks"], labels, cases)


def look_into(data: Path, progress: Progress | None = None) -> Contents:
    """What there is to learn.

    Parameters
    ----------
    data:
        A folder or table.
    progress:
        Told label file by label file while they are counted; without one they are left unread, and structures are
        those that ``dataset.json`` names.

    Raises
    ------
    FileReadError, InputError
        The data cannot be listed for a task that it seems to be for.
    """
    tasks = tasks_of(data)
    found: dict[str, tuple[Sequence[PatientCase], tuple[FoundLabel, ...]]] = {}
    for task, reason in tasks.items():
        if not reason:
            found[task] = _LOOK[task](data, progress)
    cases = {task: tuple((case.id, case.split) for case in listed) for task, (listed, _labels) in found.items()}
    return Contents(tasks, {task: labels for task, (_cases, labels) in found.items()}, cases)


def label_names(data: TrainingData, progress: Progress) -> dict[int, str]:
    """Label value to name of all structures: those that ``dataset.json`` names, else ``label N`` of all that occur."""
    told = structures_told(data.description)
    return told or {value: generic_name(value) for value in sorted(count_labels(data.cases, progress))}


def count_labels(cases: Sequence[TrainingCase], progress: Progress) -> Counter[int]:
    """Label value to the number of cases that hold it; a label that cannot be read counts nowhere."""
    import numpy as np

    from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap

    counts: Counter[int] = Counter()
    for index, case in enumerate(cases):
        advance(progress, index / len(cases), f"Counting labels of {case.id}")
        try:
            counts.update(value for value in np.unique(read_labelmap(case.label).labelmap).tolist() if value)
        except InputError:  # the data check tells of it
            continue
    return counts


def _structures(path: Path, progress: Progress | None) -> tuple[Sequence[TrainingCase], tuple[FoundLabel, ...]]:
    data = read_data(path)
    counts = None if progress is None else count_labels(data.cases, progress)
    told = data.description
    ignored = {value for value, name in told.labels.items() if is_ignored(name)}
    names = structures_told(told) or {value: generic_name(value) for value in sorted(set(counts or ()) - ignored)}
    labels = []
    for index, (value, name) in enumerate(names.items()):
        known = told.structures.get(value)
        color = known.color if known else tuple(label_color(index))
        labels.append(FoundLabel(name, None if counts is None else counts[value], value, color))  # type: ignore[arg-type]
    return data.cases, tuple(labels)


def _nodules(path: Path, _progress: Progress | None) -> tuple[Sequence[MarkedImage], tuple[FoundLabel, ...]]:
    images = read_marked(path)
    return images, (_found(NODULE, 0, (bool(image.marks) for image in images)),)


def _classes(path: Path, _progress: Progress | None) -> tuple[Sequence[ClassifiedImage], tuple[FoundLabel, ...]]:
    columns, rows = read_rows(path)
    several = CLASS not in columns
    names = yes_no_columns(columns, rows) if several else sorted({row.cells[CLASS] for row in rows} - {""})
    channels = () if IMAGE in columns else tuple(name for name in columns if name not in names)
    images = read_classified(path, channels, names, multi_label=several)
    labels = (_found(name, n, (name in image.classes for image in images)) for n, name in enumerate(names))
    return images, tuple(labels)


def _found(name: str, index: int, holds: Iterable[bool]) -> FoundLabel:
    red, green, blue = label_color(index)
    return FoundLabel(name, sum(holds), 0, (red, green, blue))


_LOOK: Mapping[str, Callable[[Path, Progress | None], tuple[Sequence[PatientCase], tuple[FoundLabel, ...]]]]
_LOOK = {SEGMENTATION: _structures, DETECTION: _nodules, CLASSIFICATION: _classes}
