"""How far a run is, by what lies in its folder; no Qt, nothing heavy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from SlicerCNNSegLib.engine.catalogue import user_models_folder
from SlicerCNNSegLib.engine.labels import Label

RECIPE, DATA, PLAN, CHECK = "recipe.json", "data.json", "plan.json", "check.json"
"""Names as in ``engine/run_folder.py``; asked there, they would load torch."""

EDITED_S = 2.0
"""A recipe that is so much younger than its plan was edited; some file systems count in steps of two seconds."""


class RunState(Enum):
    """New: no recipe yet. Planned: a recipe, and no step done. Begun: there is a checkpoint."""

    NEW = "new"
    PLANNED = "planned"
    BEGUN = "begun"


def state_of(run: Path) -> RunState:
    """How far the run in this folder is."""
    if not (run / RECIPE).exists():
        return RunState.NEW
    return RunState.BEGUN if any(run.glob("fold_*/last.pt")) else RunState.PLANNED


def has_weights(run: Path) -> bool:
    """Whether there is something to export: a validation was reached."""
    return any(run.glob("fold_*/best.pt"))


def data_of(run: Path) -> Path | None:
    """The data of a run that was planned, or None."""
    try:
        return Path(json.loads((run / DATA).read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Learned:
    """What a recipe learns.

    Parameters
    ----------
    labels:
        Its structures.
    values:
        Values in the label files that are one of these; several where labels are merged.
    """

    labels: tuple[Label, ...] = ()
    values: frozenset[int] = frozenset()


def learned_by(recipe_file: Path) -> Learned:
    """What a recipe learns; nothing where it names no labels, or cannot be read."""
    try:
        recipe = json.loads(recipe_file.read_text(encoding="utf-8"))
        labels = tuple(map(Label.from_json, recipe["model"]["labels"]))
        merged = [int(old) for old, new in recipe.get("relabelled", ()) if new]
        return Learned(labels, frozenset([*merged, *(label.value for label in labels)]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Learned()


def was_edited(run: Path) -> bool:
    """Whether somebody has changed the recipe since it was planned."""
    recipe, data = run / RECIPE, run / DATA
    return recipe.exists() and data.exists() and recipe.stat().st_mtime - data.stat().st_mtime > EDITED_S


def discard_plan(run: Path) -> None:
    """Remove the plan of a run that has not begun."""
    for name in (RECIPE, DATA, PLAN, CHECK):
        (run / name).unlink(missing_ok=True)


def own_folder(kind: str) -> Path:
    """The user's folder for ``runs`` or ``datasets``, beside the one for models."""
    return user_models_folder().parent / kind


def free_folder(folder: Path) -> Path:
    """The folder, or that with the first number behind its name under which there is nothing."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
