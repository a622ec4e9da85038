"""Which of a network's tensors belong together: under several names, at its input, at its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from SlicerCNNSegLib.engine.networks import build_network

INPUT_KEYS = ("in_channels", "n_input_channels")
OUTPUT_KEYS = ("out_channels", "num_classes")
"""What MONAI's networks call their numbers of channels."""


def tensor_names(network: torch.nn.Module) -> list[tuple[str, ...]]:
    """The names of each parameter and buffer, in order; one that modules share (as in MONAI's DynUNet) has several."""
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    return [tuple(several) for several in names.values()]


def channel_key(definition: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The key under which a network definition gives its number of channels, or ""."""
    return next((key for key in keys if key in definition), "")


def input_names(definition: Mapping[str, Any]) -> frozenset[str]:
    """Names of the tensors whose shape depends on the number of input channels."""
    return _depending(definition, channel_key(definition, INPUT_KEYS))


def _depending(definition: Mapping[str, Any], key: str) -> frozenset[str]:
    if not key:
        return frozenset()
    # doubled and not one more, because VNet takes divisors of 16 only
    other = {**definition, key: 2 * int(definition[key])}
    with torch.random.fork_rng(devices=[]):
        one, two = (build_network(each).state_dict() for each in (definition, other))
    return frozenset(name for name in one if name not in two or one[name].shape != two[name].shape)
