"""A recipe that follows from the data and the budget, and why it is as it is.

The same fingerprint, wishes and budget give the same recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..data.cases import Description, TrainingData
from ..data.reading import Reading
from .about import about_model
from .augment import choose_augmentation
from .balance import class_weights, foreground_share
from .budget import Budget
from .course import plan_course
from .families import family_of
from .fingerprint import Fingerprint, take_fingerprint
from .preprocessing import intensity, orientation, transforms
from .size import Sizer
from .wishes import Wishes
from .words import Chosen, Reason, reasons_of, table


@dataclass(frozen=True)
class Plan:
    """A recipe and where it comes from.

    Parameters
    ----------
    recipe:
        For ``Recipe.from_json``.
    reasons:
        What was chosen, and why, in the order in which people ask.
    fingerprint, budget, wishes:
        What it follows from.
    """

    recipe: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    fingerprint: Fingerprint
    budget: Budget
    wishes: Wishes

    def to_json(self) -> dict[str, Any]:
        """What goes into ``plan.json``; the recipe has a file of its own."""
        return {
            "fingerprint": self.fingerprint.to_json(),
            "budget": self.budget.to_json(),
            "wishes": asdict(self.wishes),
            "reasons": [asdict(reason) for reason in self.reasons],
        }

    def text(self) -> str:
        """A table for people: what, value, why."""
        return table(self.reasons)


def plan_data(data: TrainingData, reading: Reading, budget: Budget, wishes: Wishes | None = None) -> Plan:
    """A plan for cases that were read, with the labels that the wishes choose.

    Raises
    ------
    SettingsError
        There is nothing to learn, the network is unknown, or the memory is too small.
    """
    name = data.path.stem if data.path.suffix else data.path.resolve().name
    if wishes is not None and wishes.labels is not None:
        data = wishes.labels.describing(data)
    return make_plan(take_fingerprint(data, reading), data.description, budget, wishes, name=name)


def make_plan(
    fingerprint: Fingerprint, description: Description, budget: Budget, wishes: Wishes | None = None, *, name: str = ""
) -> Plan:
    """A plan for data with this fingerprint.

    Parameters
    ----------
    fingerprint, budget, wishes:
        What it follows from.
    description:
        For what the recipe says about the model.
    name:
        Of the data, where the description has none.

    Raises
    ------
    SettingsError
        The network is unknown, or the memory is too small.
    """
    wishes = wishes or Wishes()
    family = family_of(wishes.network)
    axcodes, axes = orientation(fingerprint)
    size = Sizer(fingerprint, family, budget, axes).choose()
    course = plan_course(fingerprint, size, budget)
    augmentation = choose_augmentation(fingerprint, axcodes, size.spacing_mm)
    transform, arguments, _ = intensity(fingerprint)
    recipe = {
        "model": about_model(fingerprint, description, name or "model"),
        "network": size.definition,
        "preprocessing": transforms(axcodes, size.spacing_mm, transform, arguments),
        "augmentation": augmentation.probabilities,
        "inference": {
            "overlap": course.overlap,
            "mirror_axes": list(augmentation.mirror_axes),
            "postprocess": {"largest_component": False, "fill_holes": False},
        },
        "patch_size": [*size.window, 1][:3],
        "batch_size": size.batch,
        "steps": course.steps,
        "minutes": budget.minutes,
        "loss": {"dice": 1.0, "cross_entropy": 1.0},
        "class_weights": class_weights(fingerprint),
        "ignore_value": fingerprint.ignore_value,
        "relabelled": [list(pair) for pair in _relabelled(fingerprint, wishes)],
        "absent_means_not_contoured": wishes.absent_means_not_contoured,
        "mirrored": [list(pair) for pair in augmentation.mirrored],
        "optimizer": "adamw",
        "learning_rate": family.learning_rate,
        "warmup_steps": course.warmup_steps,
        "decay": "cosine",
        "weight_decay": 0.01,
        "clip_norm": 5.0,
        "ema_decay": course.ema_decay,
        "foreground_share": foreground_share(fingerprint),
        "precision": "auto",
        "validate_every": course.validate_every,
        "patience": 0,
        "folds": course.folds,
        "fold": 0,
        "seed": 0,
    }
    chosen = Chosen(fingerprint, budget, wishes, axcodes, size, course, augmentation, recipe)
    return Plan(recipe, tuple(reasons_of(chosen)), fingerprint, budget, wishes)


def _relabelled(fingerprint: Fingerprint, wishes: Wishes) -> list[tuple[int, int]]:
    """What the chosen labels make of the others, without those that no case holds."""
    pairs = wishes.labels.relabelled if wishes.labels else ()
    return [(old, new) for old, new in pairs if new in {0, *fingerprint.names}]
