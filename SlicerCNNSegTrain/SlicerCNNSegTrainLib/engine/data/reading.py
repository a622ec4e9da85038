"""Reading all cases once: measured for the data check and brought into network space in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.progress import Progress, advance
from SlicerCNNSegLib.engine.volume import Volume

from ..checking.facts import CaseFacts, examine
from ..recipe import Recipe
from ..training.samples import Sample, make_sample
from .cases import TEST, TrainingCase
from .label_choice import relabel


@dataclass
class Reading:
    """What came of reading the cases.

    Parameters
    ----------
    facts:
        Case id to measurements, in the cases' order, of those that could be read.
    unreadable:
        Case id to why it could not be read.
    samples:
        Case id to the case in network space, of those that can be trained or validated on.
    """

    facts: dict[str, CaseFacts] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)

    def presence(self, structures: Sequence[int] = ()) -> Mapping[str, frozenset[int]]:
        """Case id to the label values that occur in it, of ``structures`` alone when some are given."""
        return {
            case_id: frozenset(value for value in facts.voxels if not structures or value in structures)
            for case_id, facts in self.facts.items()
        }


def read_cases(
    cases: Sequence[TrainingCase],
    progress: Progress,
    recipe: Recipe | None = None,
    *,
    relabelled: Sequence[tuple[int, int]] = (),
) -> Reading:
    """Read every image and label once; a case that cannot be read does not stop the others.

    Parameters
    ----------
    cases:
        Of the split ``test`` only the measurements are kept.
    progress:
        Told case by case.
    recipe:
        Makes the samples; without one only measurements are taken.
    relabelled:
        As in a recipe; a recipe's own go before.
    """
    reading, pairs = Reading(), recipe.relabelled if recipe else relabelled
    for index, case in enumerate(cases):
        advance(progress, index / len(cases), f"Reading {case.id}")
        try:
            image, truth = Volume.stacked([read_volume(path) for path in case.images]), read_labelmap(case.label)
        except InputError as error:
            reading.unreadable[case.id] = str(error)
            continue
        labelmap = relabel(truth.labelmap, pairs)
        facts = examine(case, image, replace(truth, labelmap=labelmap))
        reading.facts[case.id] = facts = replace(facts, left_out=_lost(truth.labelmap, labelmap))
        if recipe is not None and case.split != TEST and not facts.grid_fault:
            reading.samples[case.id] = make_sample(case.id, image, labelmap, recipe)
    return reading


def _lost(before: np.ndarray, after: np.ndarray) -> frozenset[int]:
    """Values that have become background."""
    return frozenset() if after is before else frozenset(np.unique(before[after == 0]).tolist()) - {0}
