"""Weights in and out: safetensors only, and every mismatch told in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from .eight_bits import expanded, quantised
from .errors import WeightsError
from .files.atomic import replacing
from .lean import lean_network
from .package import ModelPackage

CACHED_MODELS = 2
"""Networks kept in memory between runs: the one in use and the one before."""

STORED_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}
"""torch's names of what safetensors calls by letters."""


def save_weights(network: torch.nn.Module, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a network's parameters and buffers, floating ones as ``dtype``: float16 halves the file.

    int8 is for the weights of convolutions and linear layers (``eight_bits.py``); all else is float32 then. A tensor
    that several modules share (as in MONAI's DynUNet) is written once, under its first name; the same weights always
    give the same bytes.
    """
    state: dict[str, torch.Tensor] = {}
    written = set()
    copied = deepcopy(network).cpu().to(torch.float32 if dtype == torch.int8 else dtype)
    for name, tensor in copied.state_dict().items():
        if tensor.numel() == 0 or tensor.data_ptr() not in written:
            state[name] = tensor.contiguous()
            written.add(tensor.data_ptr())
    if dtype == torch.int8:
        state = quantised(copied, state)
    with replacing(path) as temporary:
        save_file(state, temporary)
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Fill a network from a safetensors file, in the network's own dtype.

    Raises
    ------
    WeightsError
        The file is damaged, or names or shapes don't fit; the message counts and names them.
    """
    fill(network, read_weights(path), path)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name, those in int8 expanded to float32.

    Raises
    ------
    WeightsError
        The file is damaged.
    """
    try:
        return expanded(load_file(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}); install the model again.") from error


def stored_type(path: Path) -> str:
    """How most numbers of a safetensors file are stored, as torch calls it: ``float32``, ``float16``, ``int8``.

    Raises
    ------
    WeightsError
        The file is damaged.
    """
    numbers: Counter[str] = Counter()
    try:
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                tensor = tensors.get_slice(name)
                numbers[tensor.get_dtype()] += math.prod(tensor.get_shape())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}); install the model again.") from error
    ((most, _),) = numbers.most_common(1)
    return STORED_TYPES.get(most, most.lower())


def fill(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy tensors by name into a network, in the network's own dtype.

    Parameters
    ----------
    path:
        Where they came from, for messages.

    Raises
    ------
    WeightsError
        Names or shapes don't fit; the message counts and names them.
    """
    own = network.state_dict()
    filled = {own[name].data_ptr() for name in set(own) & set(state)}
    missing = sorted(name for name in set(own) - set(state) if own[name].data_ptr() not in filled)
    unexpected = sorted(set(state) - set(own))
    shapes = sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    if missing or unexpected or shapes:
        parts = [
            f"{len(names)} {what} (first: {names[0]!s:.200})"
            for names, what in ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
            if names
        ]
        raise WeightsError(f"The weights {path} don't fit their network: {', '.join(parts)}.")
    network.load_state_dict(state, strict=False)  # a shared tensor is there under one of its names


def load_networks(package: ModelPackage, device: torch.device) -> tuple[torch.nn.Module, ...]:
    """The model's networks (one per ensemble member) on a device, ready for inference.

    Kept in memory: a second run of the same model on the same device does not load again.

    Raises
    ------
    WeightsError, ModelError
        See ``load_weights`` and ``build_network``.
    """
    return _load_cached(package.folder, package.sha256, str(device))


@lru_cache(maxsize=CACHED_MODELS)
def _load_cached(folder: Path, sha256: str, device: str) -> tuple[torch.nn.Module, ...]:
    package = ModelPackage.read(folder)
    networks = []
    for path in package.weights_files:
        network = _network(package.inference["network_def"])
        load_weights(network, path)
        networks.append(network.eval().to(device).requires_grad_(False))
    return tuple(networks)


def _network(definition: Mapping[str, Any]) -> torch.nn.Module:
    """For inference; MONAI is imported only where its own network is needed."""
    network = lean_network(definition)
    if network is not None:
        return network
    from .networks import build_network

    return build_network(definition)
