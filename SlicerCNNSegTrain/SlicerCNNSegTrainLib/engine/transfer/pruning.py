"""A smaller network out of a trained one: of each level the channels with the largest weights.

After Li et al., Pruning filters for efficient ConvNets, ICLR 2017 (arXiv:1608.08710): a channel is worth the L1 norm of
the filter that makes it, or where several are added, of all these filters. What is left is of the same class, and is
trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network, facts_of
from SlicerCNNSegLib.engine.weights import fill

from ..recipe import Recipe
from .channels import Followed, follow_channels
from .parts import tensor_names
from .purpose import Purpose
from .source import Source, resolve_source


def smaller_recipe(recipe: Recipe, keep: float) -> Recipe:
    """The recipe of a network that has a share of each level's channels of ``recipe.start.model``.

    Raises
    ------
    SettingsError
        The share is not between 0 and 1, there is nothing to start from, the model is for something else, or its
        network cannot be pruned.
    """
    if not 0 < keep < 1:
        raise SettingsError(f"Expected a share of the channels to keep above 0 and below 1, got {keep:g}.")
    if not recipe.start.model:
        raise SettingsError("Expected a model to start from (--from), of which a share of the channels is kept.")
    source = resolve_source(recipe.start)
    network = narrower(Purpose.of(source, "prune").network, keep)
    pruned = replace(recipe, network=network, start=replace(recipe.start, prune=True))
    pruned_source(source, pruned)  # or else the fault would come up when the run begins
    return pruned


def narrower(definition: Mapping[str, Any], keep: float) -> dict[str, Any]:
    """The definition of a network with a share of the channels, at least one on each level.

    Raises
    ------
    SettingsError
        It has no argument that says how many there are.
    """
    argument = facts_of(definition).widths
    if argument not in definition:
        raise SettingsError(
            f"Expected a network whose numbers of channels are an argument, to prune it, but the definition of "
            f"{definition['_target_']} says none; choose another network."
        )
    widths = definition[argument]
    fewer = [max(1, round(keep * width)) for width in ([widths] if isinstance(widths, int) else widths)]
    return {**definition, argument: fewer[0] if isinstance(widths, int) else fewer}


def pruned_source(source: Source, recipe: Recipe) -> Source:
    """The weights of a source that the recipe's smaller network keeps.

    Raises
    ------
    SettingsError
        The source is for something else, or its network is not the recipe's but for wider levels.
    """
    purpose = Purpose.of(source, "prune")
    purpose.check_for(recipe, source, "prune")
    widths = facts_of(recipe.network).widths
    here, there = ({k: v for k, v in one.items() if k != widths} for one in (recipe.network, purpose.network))
    if json.dumps(here, sort_keys=True) != json.dumps(there, sort_keys=True):
        raise SettingsError(
            f"Expected a network like that of {source.text()} but for {widths or 'its widths'}, to prune it; make the "
            "recipe with 'cnnseg-train plan --from MODEL --keep SHARE'."
        )
    with torch.random.fork_rng(devices=[]):
        larger, smaller = build_network(purpose.network), build_network(recipe.network)
    fill(larger, source.state, Path(source.id))
    state = pruned_state(larger, smaller, recipe)
    count = [sum(one.numel() for one in network.parameters()) for network in (larger, smaller)]
    note = f"pruned to {count[1] / count[0]:.1%} of its weights"
    return replace(source, state=state, note=", ".join(filter(None, [source.note, note])))


def pruned_state(larger: torch.nn.Module, smaller: torch.nn.Module, recipe: Recipe) -> dict[str, torch.Tensor]:
    """What a smaller network keeps of a larger one's weights, by first names.

    Where the channels that go are zeros, also behind their normalisation, the smaller network gives what the larger one
    gave; normalisation over groups of channels is the exception.

    Raises
    ------
    SettingsError
        The two do not differ by channels alone, or channels cannot be followed.
    """
    window = recipe.patch_size[: 2 if recipe.flat else 3]
    followed = follow_channels(larger, len(recipe.channel_names), window)
    weights, sizes = larger.state_dict(), {name: one.shape for name, one in smaller.state_dict().items()}
    kept = _kept(followed, weights, sizes)
    state = {}
    for name, *_ in tensor_names(larger):
        tensor = weights[name]
        for axis, channels in followed.axes.get(name, {}).items():
            stay = [n for n, channel in enumerate(channels) if channel in kept]
            tensor = tensor.index_select(axis, torch.tensor(stay))
        if tensor.shape != sizes.get(name):
            raise SettingsError(
                f"The network cannot be pruned: of its tensor {name} {tuple(tensor.shape)} would be left, and the "
                f"smaller network has {tuple(sizes.get(name, ()))}; choose another network."
            )
        state[name] = tensor
    return state


def _kept(followed: Followed, weights: Mapping[str, torch.Tensor], sizes: Mapping[str, torch.Size]) -> set[int]:
    """The channels that stay: of each group as many as the smaller network has, in the order of their worth."""
    worth: Counter[int] = Counter()
    groups: dict[frozenset[int], int] = {}
    for layer in followed.layers:
        norms = weights[layer.weight].float().abs().transpose(0, layer.axis).flatten(1).sum(1)
        for channel, norm in zip(layer.channels, norms.tolist(), strict=True):
            worth[channel] += norm
        groups[frozenset(layer.channels)] = sizes[layer.weight][layer.axis]
    kept = set(followed.image)
    for group, count in groups.items():
        kept.update(sorted(group, key=lambda channel: (-worth[channel], channel))[:count])
    return kept
