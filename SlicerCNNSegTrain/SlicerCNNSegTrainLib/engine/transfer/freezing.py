"""An encoder that keeps what it knows: frozen, or learning more slowly than the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError

from ..recipe_parts import Start
from ..training.optimizer import RATE_SHARE


def parameter_groups(
    network: torch.nn.Module, encoder_prefixes: Sequence[str], start: Start, fresh: Collection[str] = ()
) -> list[dict[str, Any]]:
    """What is to be learned, for the optimizer: at the full learning rate, and the encoder at ``start.encoder_rate``.

    With ``start.freeze`` the encoder gets no gradients and is in no group. Neither that nor a lower rate holds for
    what came without weights.

    Parameters
    ----------
    network:
        Gets ``requires_grad`` off where it is frozen.
    encoder_prefixes:
        Beginnings of the names of the encoder's modules, up to a dot.
    fresh:
        Names of tensors that were not loaded (``TransferReport.fresh``).

    Raises
    ------
    SettingsError
        The network's encoder is not known, or nothing is left to learn.
    """
    apart = _encoder_parameters(network, encoder_prefixes, start) - _parameters(network, fresh)
    groups: dict[float, list[torch.nn.Parameter]] = {1.0: []}
    for parameter in network.parameters():
        if parameter in apart and start.freeze:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            share = start.encoder_rate if parameter in apart else 1.0
            groups.setdefault(share, []).append(parameter)
    if not any(groups.values()):
        raise SettingsError("Nothing is left to learn with the encoder frozen; set start.freeze to ''.")
    return [{"params": params, RATE_SHARE: share} for share, params in groups.items() if params]


def set_training(network: torch.nn.Module, encoder_prefixes: Sequence[str], start: Start) -> None:
    """Bring a network into training mode, a frozen encoder into evaluation mode.

    There normalisation uses its stored statistics and leaves them as they are, and nothing is dropped.
    """
    network.train()
    if start.freeze:
        for name, part in network.named_modules(remove_duplicate=False):
            if _is_within(name, encoder_prefixes):
                part.eval()


def _encoder_parameters(
    network: torch.nn.Module, encoder_prefixes: Sequence[str], start: Start
) -> set[torch.nn.Parameter]:
    """The encoder's parameters, where ``start`` treats them apart."""
    if not start.freeze and start.encoder_rate == 1:
        return set()
    # a module that is shared (as in MONAI's DynUNet) belongs to the encoder when one of its names does
    named = list(network.named_parameters(remove_duplicate=False))
    strangers = [p for p in encoder_prefixes if not any(_is_within(name, [p]) for name, _ in named)]
    if strangers or not encoder_prefixes:
        found = f"nothing in it is named {', '.join(strangers)}" if strangers else "nobody said which part that is"
        raise SettingsError(
            f"Expected a network whose encoder is known for start.freeze or start.encoder_rate, but in "
            f"{type(network).__name__} {found}; train all of it at one rate."
        )
    return {parameter for name, parameter in named if _is_within(name, encoder_prefixes)}


def _parameters(network: torch.nn.Module, names: Collection[str]) -> set[torch.nn.Parameter]:
    return {parameter for name, parameter in network.named_parameters() if name in names}


def _is_within(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
