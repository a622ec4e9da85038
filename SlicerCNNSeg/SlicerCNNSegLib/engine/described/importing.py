"""Bare weights and their description, written as a model folder of our own form."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..bundles.checkpoints import read_state, without_prefix
from ..errors import WeightsError
from ..files.atomic import replacing
from ..networks import SEGMENTATION, build_network, check_window, facts_of
from ..weights import fill, save_weights
from .description import Description
from .matching import matched


def write_described(weights: Path, description: Description, target: Path, *, trust_script: bool = False) -> list[str]:
    """Write the model's folder; gives what was done to make the weights fit, in words.

    Parameters
    ----------
    weights:
        A ``state_dict`` as safetensors or ``.pt`` (also inside a checkpoint), or TorchScript, of which nothing but the
        weights is taken.
    target:
        A folder that is not there yet.
    trust_script:
        Let PyTorch open TorchScript, which is code.

    Raises
    ------
    WeightsError
        The file holds no weights, or code that nobody trusts, or does not fit; the message says what is missing,
        unexpected or of another shape.
    ModelError
        The network is not known, or its arguments make no sense.
    """
    state = _script_state(weights, trusted=trust_script) if _is_script(weights) else read_state(weights)
    definition = completed(description, state)
    network = build_network(definition)
    if definition["spatial_dims"] == 2:
        description = replace(description, slices=max(1, description.slices))
    check_window(definition, description.window)
    state, notes = without_prefix(network, state)
    state, more = matched(network, state, weights, description.match)
    fill(network, state, weights)
    save_weights(network, target / "models" / "model.safetensors", torch.float32)
    _write_json(target / "configs" / "inference.json", description.inference(definition))
    _write_json(target / "configs" / "metadata.json", description.metadata())
    return notes + more


def completed(description: Description, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The network's definition, with what was left out of it: dimensions and numbers of channels and classes.

    Dimensions are those of the first convolution's kernel; channels and classes are counted in the description.
    """
    kernels = [tensor.ndim - 2 for tensor in state.values() if tensor.ndim > 2]
    definition = {"spatial_dims": kernels[0] if kernels else 3, **description.network}
    facts = facts_of(definition)
    counts = {facts.channels: len(description.channels) * max(1, description.slices)}
    if SEGMENTATION in facts.classes:
        counts[facts.classes[SEGMENTATION]] = len(description.labels) + 1
    return {**counts, **definition}


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(("/constants.pkl", ".py")) for name in archive.namelist())


def _script_state(path: Path, *, trusted: bool) -> dict[str, torch.Tensor]:
    if not trusted:
        raise WeightsError(
            f"The weights {path} are TorchScript, which is code, and are not opened; if you trust who made them, "
            "give --trust-torchscript."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as such
        try:
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"The TorchScript {path} cannot be opened ({reason}); get it anew.") from error


def _write_json(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
