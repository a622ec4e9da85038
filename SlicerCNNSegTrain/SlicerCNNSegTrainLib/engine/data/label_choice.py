"""Which labels are learned: some of those that the data has, in which order, and which of them as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.wording import listed

from .cases import Description, TrainingData
from .colors import label_color

IGNORE = "ignore"
"""nnU-Net's name of the label of voxels that nobody labelled."""

NAMES_LENGTH = 200


@dataclass(frozen=True)
class ChosenLabel:
    """A structure to learn, and the values in the label files that are it; the first is its own."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class LabelChoice:
    """What is learned, in order, and what is left out.

    Parameters
    ----------
    chosen:
        The structures.
    left_out:
        Label value to name of what becomes background.
    merged:
        Name of each structure that is several labels to their names.
    """

    chosen: tuple[ChosenLabel, ...]
    left_out: Mapping[int, str]
    merged: Mapping[str, tuple[str, ...]]

    @property
    def relabelled(self) -> tuple[tuple[int, int], ...]:
        """For ``Recipe.relabelled``: values in the files, and what each is read as."""
        joined = [(value, label.values[0]) for label in self.chosen for value in label.values[1:]]
        return tuple(sorted([*joined, *((value, 0) for value in self.left_out)]))

    def describing(self, data: TrainingData) -> TrainingData:
        """The data as if it had the chosen labels alone, named and in order as chosen."""
        told = data.description
        ignored = {value: name for value, name in told.labels.items() if is_ignored(name)}
        labels = {label.values[0]: label.name for label in self.chosen} | ignored
        structures = {label.values[0]: self._look(label, told.structures) for label in self.chosen}
        return replace(data, description=replace(told, labels=labels, structures=structures))

    def _look(self, chosen: ChosenLabel, told: Mapping[int, Label]) -> Label:
        """As the data has it; else the colour that the structure has among all, whichever are chosen."""
        value = chosen.values[0]
        if value in told and len(chosen.values) == 1:
            return told[value]
        every = sorted([*self.left_out, *(value for label in self.chosen for value in label.values)])
        red, green, blue = label_color(every.index(value))
        return Label(value, chosen.name, (red, green, blue))


def structures_told(description: Description) -> dict[int, str]:
    """Label value to name of what ``dataset.json`` names, without background and what is ignored."""
    return {value: name for value, name in description.labels.items() if value and not is_ignored(name)}


def generic_name(value: int) -> str:
    """What a structure is called that nobody named."""
    return f"label {value}"


def is_ignored(name: str) -> bool:
    """Whether voxels of a label of this name were labelled by nobody."""
    return name.lower() == IGNORE


def choose_labels(words: Sequence[str], names: Mapping[int, str]) -> LabelChoice:
    """What these words choose.

    Parameters
    ----------
    words:
        ``NAME``, or ``NEW=NAME+NAME`` for several labels as one structure; a name of the data is taken as it stands,
        whatever signs are in it. Upper and lower case are alike.
    names:
        Label value to name, of all that there are.

    Raises
    ------
    SettingsError
        A name is not there, or is said twice, or there is none.
    """
    chosen = [_chosen(word, names) for word in words]
    taken = [value for label in chosen for value in label.values]
    twice = [names[value] for value in dict.fromkeys(taken) if taken.count(value) > 1]
    called = [label.name.casefold() for label in chosen]
    twice += [label.name for label in chosen if called.count(label.name.casefold()) > 1]
    if twice or not chosen:
        got = f"{twice[0]!r} twice" if twice else "none"
        raise SettingsError(
            f"Expected each label once, out of {listed(list(names.values()), NAMES_LENGTH)}; got {got}."
        )
    left_out = {value: name for value, name in names.items() if value not in taken}
    merged = {one.name: tuple(names[value] for value in one.values) for one in chosen if len(one.values) > 1}
    return LabelChoice(tuple(chosen), left_out, merged)


def _chosen(word: str, names: Mapping[int, str]) -> ChosenLabel:
    values = {name.casefold(): value for value, name in names.items()}
    if word.casefold() in values:
        return ChosenLabel(names[values[word.casefold()]], (values[word.casefold()],))
    name, equals, rest = (part.strip() for part in word.partition("="))
    parts = [rest] if rest.casefold() in values else [part.strip() for part in rest.split("+")]
    unknown = [part for part in (parts if equals and name else [word]) if part.casefold() not in values]
    if unknown:
        known = listed(list(names.values()), NAMES_LENGTH)
        raise SettingsError(f"Expected labels out of {known}, or NEW=NAME+NAME of them, got {unknown[0]!r}.")
    return ChosenLabel(name, tuple(values[part.casefold()] for part in parts))


def relabel(labelmap: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """A labelmap with each pair's second value in the place of its first; both fit its type."""
    highest = int(labelmap.max())
    there = {old: new for old, new in pairs if old <= highest}
    if not there:
        return labelmap
    table = np.arange(highest + 1, dtype=labelmap.dtype)
    table[list(there)] = list(there.values())
    return table[labelmap]
