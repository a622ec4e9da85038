"""The network of a run with its first weights, and which of them learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network, check_window, facts_of

from ..recipe import Recipe
from ..recipe_parts import Start
from .adapters import adapter_state, add_adapters, learned_names, merge_adapters
from .freezing import parameter_groups, set_training
from .loading import TransferReport, load_partially
from .pruning import pruned_source
from .source import resolve_source

BASE = "base"
"""Key of a checkpoint with adapters alone: the checksum of the weights below them."""


@dataclass(frozen=True, eq=False)
class Learner:
    """What a run trains.

    Parameters
    ----------
    network:
        With its first weights.
    groups:
        What of it is learned, for the optimizer; see ``freezing.py``.
    start:
        What it starts from.
    encoder:
        Beginnings of the names of the encoder's parts.
    report:
        What was taken from another model; None when nothing was.
    """

    network: torch.nn.Module
    groups: list[dict[str, Any]]
    start: Start
    encoder: tuple[str, ...]
    report: TransferReport | None = None

    def train(self) -> None:
        """Bring the network into training mode, but for what is frozen."""
        set_training(self.network, self.encoder, self.start)

    def stored(self, network: torch.nn.Module) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps of the network or of its average: all, or with adapters only what was learned."""
        if not self.start.adapter_rank:
            return network.state_dict()
        return adapter_state(network, learned_names(self.network))

    @property
    def base(self) -> str:
        """SHA-256 of what lies below adapters, or ""."""
        return self.report.source_sha256 if self.report and self.start.adapter_rank else ""

    def restore(self, network: torch.nn.Module, state: Mapping[str, Any], part: str) -> None:
        """Fill a network with what ``stored`` kept as a part of a checkpoint.

        Raises
        ------
        SettingsError
            The adapters in it were trained on other weights.
        """
        if state.get(BASE, "") != self.base:
            raise SettingsError(
                f"The run's adapters were trained on weights with sha256 {state.get(BASE)}, but {self.start.model} has "
                f"{self.base}; put the model back that the run started from."
            )
        network.load_state_dict(state[part], strict=not self.start.adapter_rank)


def start_network(recipe: Recipe) -> Learner:
    """Build the recipe's network and give it its first weights.

    Raises
    ------
    ModelError
        The network cannot be built, or does not take the recipe's window.
    SettingsError, WeightsError
        The model to start from is not there, cannot be read, or has nothing in common.
    """
    check_window(recipe.network, recipe.patch_size[: 2 if recipe.flat else 3])
    torch.manual_seed(recipe.seed)
    network, start, encoder = build_network(recipe.network), recipe.start, facts_of(recipe.network).encoder
    if not start.model:
        return Learner(network, parameter_groups(network, encoder, start), start, encoder)
    source = resolve_source(start)
    report = load_partially(network, pruned_source(source, recipe) if start.prune else source, recipe.network)
    if start.adapter_rank:
        add_adapters(network, start.adapter_rank, report.fresh)
    return Learner(network, parameter_groups(network, encoder, start, report.fresh), start, encoder, report)


def trained_network(recipe: Recipe, state: Mapping[str, Any]) -> torch.nn.Module:
    """The plain network of a run's best checkpoint, adapters folded in.

    Raises
    ------
    SettingsError
        The weights below the adapters are other ones now.
    """
    if not recipe.start.adapter_rank:  # complete, whether or not what it started from is still there
        network = build_network(recipe.network)
        network.load_state_dict(state["average"])
        return network
    learner = start_network(recipe)
    learner.restore(learner.network, state, "average")
    merge_adapters(learner.network)
    return learner.network
