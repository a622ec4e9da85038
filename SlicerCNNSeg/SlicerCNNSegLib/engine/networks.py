"""Networks by registered name.

A bundle names its network as MONAI does: ``{"_target_": "monai.networks.nets.DynUNet", ...}``. The
last part of ``_target_`` is looked up here; nothing is imported because a file says so. To add a
network, see ``docs/extending.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.networks import nets

from .errors import ModelError

Builder = Callable[..., torch.nn.Module]

_BUILDERS: dict[str, Builder] = {}


def register_network(name: str, builder: Builder) -> None:
    """Make ``builder(**arguments)`` known as ``name``.

    Raises
    ------
    ModelError
        The name is taken.
    """
    if name in _BUILDERS:
        raise ModelError(f"A network named {name!r} is registered already; choose another name.")
    _BUILDERS[name] = builder


def network_names() -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted(_BUILDERS))


def build_network(definition: Mapping[str, Any]) -> torch.nn.Module:
    """Build the network that a bundle's ``network_def`` describes, with fresh weights.

    Parameters
    ----------
    definition:
        ``_target_`` (name, with or without module path) and the builder's arguments.

    Raises
    ------
    ModelError
        The name is unknown (the message lists the known ones) or the arguments don't fit.
    """
    name = str(definition.get("_target_", "")).rpartition(".")[2]
    if name not in _BUILDERS:
        raise ModelError(f"Unknown network {name!r}: expected one of {', '.join(network_names())}.")
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    try:
        return _BUILDERS[name](**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The network {name} cannot be built from {arguments}: {error}") from error


for _network in (
    nets.AttentionUnet,
    nets.BasicUNet,
    nets.DynUNet,
    nets.SegResNet,
    nets.SwinUNETR,
    nets.UNet,
    nets.UNETR,
    nets.VNet,
):
    register_network(_network.__name__, _network)
