"""Low-rank adapters: a network's weights stay, and a small update of each is learned (LoRA, Hu et al., ICLR 2022).

The weight ``W`` of a layer, as a matrix of its first axis against all others, becomes ``W + up @ down``. For a
convolution that is a convolution of the same geometry to ``rank`` channels (``down``), followed by a pointwise one
(``up``); for a transposed one the pointwise one comes first. ``up`` starts at zero: at first nothing is changed.
There is no scale beside the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch.nn.utils import parametrize

from SlicerCNNSegLib.engine.errors import SettingsError

ADAPTED_LAYERS = (
    torch.nn.Linear,
    torch.nn.Conv2d,
    torch.nn.Conv3d,
    torch.nn.ConvTranspose2d,
    torch.nn.ConvTranspose3d,
)
NORMALISATION = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm)

ORIGINAL = ".parametrizations.weight.original"
UP, DOWN = ".parametrizations.weight.0.up", ".parametrizations.weight.0.down"
"""What torch's parametrization calls an adapted layer's tensors, after the layer's name."""


class LowRank(torch.nn.Module):
    """A learned update of a weight.

    Parameters
    ----------
    weight:
        The weight, for its shape and place.
    rank:
        Of the update.
    generator:
        Of ``down``'s random numbers; None takes torch's own.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        rows, columns = _sides(weight)
        self.up = torch.nn.Parameter(weight.new_zeros(rows, rank))
        down = torch.nn.init.kaiming_uniform_(torch.empty(rank, columns), a=math.sqrt(5), generator=generator)
        self.down = torch.nn.Parameter(down.to(weight))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The updated weight, in full precision also under autocast."""
        with torch.autocast(weight.device.type, enabled=False):
            return _updated(weight, self.up, self.down)


def add_adapters(
    network: torch.nn.Module, rank: int, fresh: Collection[str] = (), generator: torch.Generator | None = None
) -> None:
    """Put adapters on all convolutions, transposed convolutions and linear layers, and freeze what is below them.

    What learns afterwards: the adapters; the affine parameters of normalisation layers; the tensors that were not
    loaded, which is where heads with other classes are; and a layer, with its bias, whose adapter would be no smaller
    than its weight.

    Parameters
    ----------
    network:
        Changed in place.
    rank:
        Of the updates, 1 or more.
    fresh:
        Names of tensors that were not loaded (``TransferReport.fresh``).
    generator:
        Of the adapters' first values; None takes torch's own.

    Raises
    ------
    SettingsError
        The rank is below 1.
    """
    if rank < 1:
        raise SettingsError(f"Expected an adapter_rank of 1 or more to add adapters, got {rank}.")
    network.requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name in fresh:
            parameter.requires_grad_(True)
    for part in list(network.modules()):
        if isinstance(part, NORMALISATION):
            part.requires_grad_(True)
        if isinstance(part, ADAPTED_LAYERS) and not part.weight.requires_grad:
            if rank * sum(_sides(part.weight)) < part.weight.numel():
                parametrize.register_parametrization(part, "weight", LowRank(part.weight, rank, generator))
            else:
                part.requires_grad_(True)


def merge_adapters(network: torch.nn.Module) -> None:
    """Fold the adapters into the weights: a plain network that gives the same, all of which can learn."""
    for part in list(network.modules()):
        if parametrize.is_parametrized(part, "weight"):
            # a deep copy of the network has the same class, of which torch takes the parametrized weight
            shared = type(part)
            part.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
            parametrize.remove_parametrizations(part, "weight")
    network.requires_grad_(True)


def merged_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state of a network with adapters as that of the plain network; one without adapters comes as it is."""
    plain, merged = {}, dict[int, torch.Tensor]()
    for name, tensor in state.items():
        layer = name.removesuffix(ORIGINAL)
        if layer != name:
            if tensor.data_ptr() not in merged:  # a tensor that modules share is there under several names
                merged[tensor.data_ptr()] = _updated(tensor, state[layer + UP], state[layer + DOWN])
            plain[f"{layer}.weight"] = merged[tensor.data_ptr()]
        elif not name.endswith((UP, DOWN)):
            plain[name] = tensor
    return plain


def learned_names(network: torch.nn.Module) -> frozenset[str]:
    """Names of what distinguishes a network with adapters from the one below: what learns, all adapters, the buffers.

    A tensor that modules share is there once, under its first name.
    """
    named = network.named_parameters()
    learned = {name for name, parameter in named if parameter.requires_grad or name.endswith((UP, DOWN))}
    return frozenset(learned | {name for name, _ in network.named_buffers()})


def adapter_state(network: torch.nn.Module, names: Collection[str] | None = None) -> dict[str, torch.Tensor]:
    """The state of a network with adapters, without what is below them.

    Parameters
    ----------
    network:
        With adapters.
    names:
        Its ``learned_names``, where it does not say itself: an average, say, of which nothing learns.
    """
    kept = learned_names(network) if names is None else names
    return {name: tensor.detach() for name, tensor in network.state_dict().items() if name in kept}


def _updated(weight: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return weight + (up @ down).view(weight.shape)


def _sides(weight: torch.Tensor) -> tuple[int, int]:
    """Rows and columns of a weight as a matrix."""
    return weight.shape[0], weight[0].numel()
