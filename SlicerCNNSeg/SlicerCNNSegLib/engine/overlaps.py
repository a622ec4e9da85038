"""Structures that overlap, in one labelmap: a value for each combination of structures.

Structure n (from 0) is bit n of a voxel's value. So nothing is lost, and a value always means the same
combination, in every case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import ModelError
from .labels import Label

LARGEST_COUNT = 12
"""Structures whose combinations fit a labelmap's 16 bits, also for several named regions."""


@dataclass(frozen=True)
class Compound:
    """A structure that several values of the labelmap make up.

    Parameters
    ----------
    label:
        Its name, colour and codes; its value is one that no voxel has.
    values:
        The labelmap's values inside of it.
    """

    label: Label
    values: frozenset[int]


def highest_code(count: int, model: str) -> int:
    """The largest value that combinations of ``count`` structures have.

    Raises
    ------
    ModelError
        There are too many for a labelmap.
    """
    if count > LARGEST_COUNT:
        raise ModelError(
            f"The model {model} has {count} structures that may overlap; expected at most {LARGEST_COUNT}."
        )
    return 2**count - 1


def encoded(masks: np.ndarray) -> np.ndarray:
    """The labelmap (k, j, i) of masks (structure, k, j, i)."""
    codes = np.zeros(masks.shape[1:], np.uint8 if len(masks) <= 8 else np.uint16)
    for bit, mask in enumerate(masks):
        codes |= mask.astype(codes.dtype) << bit
    return codes


def region_labels(structures: Sequence[Label], codes: Iterable[int], offset: int = 0) -> tuple[Label, ...]:
    """What the values mean: a label for each code, its value ``offset`` higher.

    Its name lists the structures that the voxels belong to; its colour is between theirs.
    """
    labels = []
    for code in codes:
        parts = [label for bit, label in enumerate(structures) if code >> bit & 1]
        red, green, blue = np.mean([label.color for label in parts], axis=0).round(3).tolist()
        name = " + ".join(label.name for label in parts) if len(parts) > 1 else f"{parts[0].name} only"
        labels.append(Label(code + offset, name, (red, green, blue)))
    return tuple(labels)


def compounds(structures: Sequence[Label], offset: int, first_value: int) -> tuple[Compound, ...]:
    """The structures themselves, whole, as sets of values; numbered from ``first_value``."""
    codes = range(1, 2 ** len(structures))
    return tuple(
        Compound(replace(label, value=first_value + bit), frozenset(c + offset for c in codes if c >> bit & 1))
        for bit, label in enumerate(structures)
    )
