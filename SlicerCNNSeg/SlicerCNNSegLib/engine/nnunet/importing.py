"""A trained model of nnU-Net, written as a model folder of our own form: safetensors and plain data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError, SettingsError
from ..files.atomic import replacing
from ..files.paths import safe_name
from ..networks import build_network, check_window
from ..package import FIRST_STAGE, OWN_BLOCK, ModelPackage
from ..progress import Progress, SubProgress, advance
from ..weights import fill, save_weights
from .checkpoints import read_checkpoint
from .plan import BLOCK, NnunetPlan
from .reading import PLANS, Choice, Trained

UNKNOWN_LICENCE = "not stated"


def import_trained(folders: Sequence[Path], target: Path, choice: Choice, progress: Progress) -> Path:
    """Write a model folder; gives it.

    Parameters
    ----------
    folders:
        Of trained models, one of which ``choice`` names where there are several.
    target:
        A folder that is not there yet.

    Raises
    ------
    SettingsError
        The choice is not one that there is.
    ModelError, WeightsError
        The model cannot be run here, with the reason, or is damaged.
    Cancelled
        The user asked to stop.
    """
    trained = _chosen(folders, choice)
    try:
        first = _first_stage(trained, folders, choice)
        if first is not None:
            _written(first, target / FIRST_STAGE, Choice(checkpoint=choice.checkpoint), SubProgress(progress, 0, 0.5))
        return _written(trained, target, choice, SubProgress(progress, 0.0 if first is None else 0.5, 1.0))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"plans.json or dataset.json of {trained.folder.name} lacks something or is damaged ({error!r}); copy the "
            "model again."
        ) from error


def _written(trained: Trained, target: Path, choice: Choice, progress: Progress) -> Path:
    kind, paths = _checkpoints(trained, choice.checkpoint)
    facts = read_checkpoint(paths[0])
    network = build_network(definition := trained.network(facts.configuration, facts.trainer))
    plan = trained.plan(facts.configuration, facts.mirror_axes)
    check_window(definition, plan.patch_size)
    for number, path in enumerate(paths):
        advance(progress, number / len(paths), f"Reading {path.parent.name}")
        checkpoint = facts if number == 0 else read_checkpoint(path)
        if checkpoint.configuration != facts.configuration:
            raise ModelError(f"The folds of {trained.folder.name} are of different configurations; copy it again.")
        fill(network, checkpoint.weights, path)
        save_weights(network, target / "models" / f"{path.parent.name}.safetensors", torch.float32)
    metadata = _metadata(trained, plan, choice, f"{facts.trainer}, {len(paths)} fold(s), checkpoint_{kind}")
    _write_json(target / "configs" / "inference.json", {"network_def": definition, BLOCK: plan.to_config()})
    _write_json(target / "configs" / "metadata.json", metadata)
    metadata[OWN_BLOCK]["sha256"] = ModelPackage.read(target).sha256
    _write_json(target / "configs" / "metadata.json", metadata)
    return target


def _chosen(folders: Sequence[Path], choice: Choice) -> Trained:
    models = [Trained.read(folder) for folder in folders]
    named = [one for one in models if choice.configuration in ("", one.configuration)]
    if len(named) != 1:
        found = ", ".join(sorted(f"{one.dataset_name} {one.configuration}" for one in models))
        raise SettingsError(
            f"Expected one trained model of nnU-Net, found {found}; give one of their folders, or --configuration."
        )
    return named[0]


def _first_stage(trained: Trained, folders: Sequence[Path], choice: Choice) -> Trained | None:
    """What was trained of a cascade's first stage, with the same trainer and plans: in what was given, or beside it.

    None for a model of one stage.
    """
    configuration = read_checkpoint(_checkpoints(trained, choice.checkpoint)[1][0]).configuration
    before = trained.first_stage(configuration)
    if not before:
        return None
    if trained.first_stage(before):
        raise ModelError(f"{PLANS} of {trained.folder.name} has a cascade of more than two stages; nnU-Net's have two.")
    name = f"{trained.folder.name.removesuffix(configuration)}{before}"
    near = [folder for folder in folders if folder.name == name and folder.parent.name == trained.folder.parent.name]
    beside = [trained.folder.parent / name] if name == safe_name(name) else []
    for folder in (*near, *beside):
        if (folder / PLANS).is_file():
            return Trained.read(folder)
    raise ModelError(
        f"nnU-Net's configuration {configuration} is the second stage of a cascade, but its first one, {name}, is not "
        f"there; install the folder of {trained.dataset_name} that holds both, with --configuration {configuration}."
    )


def _checkpoints(trained: Trained, wanted: str) -> tuple[str, list[Path]]:
    for kind in (wanted,) if wanted else ("final", "best"):
        paths = trained.checkpoints(kind)
        if paths:
            return kind, paths
    raise ModelError(
        f"The model {trained.folder.name} has no fold_*/checkpoint_{wanted or 'final'}.pth; copy it with its folds."
    )


def _metadata(trained: Trained, plan: NnunetPlan, choice: Choice, how: str) -> dict[str, Any]:
    dataset = trained.dataset
    name = str(dataset.get("name") or trained.dataset_name)
    described = str(dataset.get("description") or "").strip()
    return {
        "version": str(dataset.get("release") or "1.0"),
        "description": f"nnU-Net v2, {plan.configuration}: {how}. {described}".strip(),
        "data_source": " ".join(str(part) for part in (name, dataset.get("reference")) if part),
        "intended_use": "Research; whoever trained the model may say more.",
        OWN_BLOCK: {
            "id": choice.id or safe_name(f"{trained.dataset_name}-{plan.configuration}"),
            "title": f"{name} (nnU-Net {plan.configuration})",
            "task": "segmentation",
            "licence": str(dataset.get("licence") or dataset.get("license") or UNKNOWN_LICENCE),
            "channels": [{"name": channel, "modality": modality} for channel, modality in trained.channels()],
            "labels": [label.to_json() for label in trained.labels()],
        },
    }


def _write_json(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
