"""The weights that a run starts from, and whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError, UnknownModelError, WeightsError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.weights import read_weights

from ..recipe_parts import Start
from ..training.checkpoint import load_checkpoint
from .adapters import ORIGINAL, UP, merged_state

SHOWN_DIGITS = 12
"""Of a checksum, in texts for people."""


@dataclass(frozen=True)
class Source:
    """Weights to start from.

    Parameters
    ----------
    id:
        Of the model, or name of the run's folder.
    sha256:
        Of the model (``ModelPackage.sha256``), or of the run's checkpoint.
    state:
        Name to tensor.
    note:
        What else a reader should know, or "".
    origin:
        The model, or the recipe of the run: what says what they are for (``purpose.py``); None where nothing does.
    """

    id: str
    sha256: str
    state: Mapping[str, torch.Tensor] = field(repr=False)
    note: str = ""
    origin: ModelPackage | Path | None = field(default=None, repr=False)

    def text(self) -> str:
        """Whose weights these are, for people."""
        return f"{self.id} (sha256 {self.sha256[:SHOWN_DIGITS]}{f', {self.note}' if self.note else ''})"

    def to_json(self) -> dict[str, str]:
        """The plain form, without the weights."""
        return {"id": self.id, "sha256": self.sha256, "note": self.note}


def resolve_source(start: Start) -> Source:
    """The weights that ``start.model`` names: a model by id, a bundle's folder, a run's folder or that of its fold.

    Raises
    ------
    SettingsError
        There is no such model (``UnknownModelError``), or the folder is neither a model nor a run.
    WeightsError
        The weights cannot be read.
    """
    folder = Path(start.model)
    for checkpoint in (folder / "fold_0" / "best.pt", folder / "best.pt"):
        if checkpoint.is_file():
            return _from_run(folder, checkpoint)
    try:
        return _from_bundle(find_model(start.model))
    except UnknownModelError as error:
        if not folder.is_dir():
            raise
        raise SettingsError(
            "Expected a model (configs/metadata.json) or a run that has been validated (fold_0/best.pt) to start from, "
            f"but {folder} holds neither; choose another folder."
        ) from error


def _from_run(folder: Path, checkpoint: Path) -> Source:
    try:
        average = load_checkpoint(checkpoint)["average"]
    except (FileReadError, KeyError, TypeError) as error:
        raise WeightsError(f"The weights {checkpoint} cannot be read; start from another run or a model.") from error
    if any(name.endswith(UP) for name in average) and not any(name.endswith(ORIGINAL) for name in average):
        raise WeightsError(
            f"{checkpoint} holds adapters alone; export the run ('cnnseg-train export') and start from that model."
        )
    digest, recipe = hashlib.sha256(checkpoint.read_bytes()).hexdigest(), checkpoint.with_name("recipe.json")
    note = f"from {checkpoint.relative_to(folder)}"
    return Source(folder.resolve().name, digest, merged_state(average), note, recipe)


def _from_bundle(package: ModelPackage) -> Source:
    first, *others = package.weights_files
    state = read_weights(first)
    note = f"{first.name} of {1 + len(others)}" if others else ""
    return Source(package.id, package.sha256, state, note, package)
