"""Adapters as files: small, and tied to the model that they were trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.files.atomic import replacing

from .adapters import DOWN, UP, adapter_state, add_adapters, merge_adapters
from .source import Source

KIND = "cnnseg_adapters"
"""Key in the file's metadata that tells it from other weights; its value is the version of the form."""

FORM = "1"


def save_adapters(network: torch.nn.Module, path: Path, base: Source, rank: int) -> None:
    """Write what a network with adapters has learned, in its own precision, and which weights lie below.

    Parameters
    ----------
    network:
        With adapters of ``rank`` (``add_adapters``).
    base:
        What the network was filled with before.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in adapter_state(network).items()}
    described = {KIND: FORM, "base_id": base.id, "base_sha256": base.sha256, "rank": str(rank)}
    with replacing(path) as temporary:
        save_file(state, temporary, described)
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read


def load_adapters(network: torch.nn.Module, path: Path, base: Source) -> None:
    """Put stored adapters on a network, which then is as it was when they were stored.

    Parameters
    ----------
    network:
        Plain, and filled with ``base`` (``load_partially``); changed in place.
    base:
        What it was filled with.

    Raises
    ------
    WeightsError
        The file cannot be read, holds no adapters, or belongs to other weights or another network.
    """
    described, state = _read(path)
    if described.get(KIND) != FORM or not described.get("rank", "").isdecimal():
        raise WeightsError(f"Expected adapters of form {FORM} in {path}, got other weights; name a file with adapters.")
    if described.get("base_sha256") != base.sha256:
        raise WeightsError(
            f"The adapters {path} were trained on {described.get('base_id')} with sha256 "
            f"{described.get('base_sha256')}, but the network has the weights of {base.id} with sha256 {base.sha256}; "
            "load the model that they belong to."
        )
    fresh = {name for name, parameter in network.named_parameters() if name in state}
    add_adapters(network, int(described["rank"]), fresh)
    own = network.state_dict()
    needed = {name for name, _ in network.named_parameters() if name.endswith((UP, DOWN))}
    wrong = (set(state) - set(own)) | (needed - set(state))
    wrong |= {name for name in set(own) & set(state) if own[name].shape != state[name].shape}
    if wrong:
        merge_adapters(network)  # as it was: an update that has learned nothing is zero
        raise WeightsError(
            f"The adapters {path} don't fit the network: {len(wrong)} tensors are missing, unexpected or of another "
            f"shape (first: {min(wrong)}); build the network that they were trained with."
        )
    network.load_state_dict(state, strict=False)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as stream:
            return stream.metadata() or {}, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The adapters {path} cannot be read ({error}); store them again.") from error
