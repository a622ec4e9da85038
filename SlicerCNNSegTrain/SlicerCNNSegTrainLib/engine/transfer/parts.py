"""Which of a network's tensors belong together: under several names, at its input, at its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from SlicerCNNSegLib.engine.networks import build_network, facts_of


def tensor_names(network: torch.nn.Module) -> list[tuple[str, ...]]:
    """The names of each parameter and buffer, in order; one that modules share (as in MONAI's DynUNet) has several."""
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    return [tuple(several) for several in names.values()]


def input_names(definition: Mapping[str, Any]) -> frozenset[str]:
    """Names of the tensors whose shape depends on the number of input channels, where a definition says it."""
    channels = facts_of(definition).channels
    if channels not in definition:
        return frozenset()
    # doubled and not one more, because VNet takes divisors of 16 only
    other = {**definition, channels: 2 * int(definition[channels])}
    with torch.random.fork_rng(devices=[]):
        one, two = (build_network(each).state_dict() for each in (definition, other))
    return frozenset(name for name in one if name not in two or one[name].shape != two[name].shape)
