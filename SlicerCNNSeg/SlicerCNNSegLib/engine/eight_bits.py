"""Weights in eight bits: whole numbers and a scale for each output channel, a quarter of float32's size.

Symmetric, by channel, after training: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference,
arXiv:1806.08342 (2018), sections 2.2 and 3.1. Only what is stored is small: weights become float32 when they are read,
so that a run takes as long as before, and gives the same on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch

from .errors import WeightsError

SCALE = ".int8_scale"
"""What the scale's name has behind that of the weight. The scale has the weight's axes, all but one of length 1: the
weight is the product of the two, for any reader."""

LARGEST = 127
"""Of the whole numbers; -128 is left out, so that both signs reach as far."""

Stored = TypeVar("Stored")

TRANSPOSED = (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)
OTHERS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)


def quantised(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of convolutions and linear layers in int8, each followed by its scale; all else as it is.

    A value differs from what it was by half of its channel's scale at most, and the scale is the channel's largest
    absolute value by 127.

    Parameters
    ----------
    network:
        Whose layers say which axis is that of the output channels.
    state:
        Its weights by name, in floats.
    """
    found: dict[str, torch.Tensor] = {}
    axes = _output_axes(network)
    for name, tensor in state.items():
        if name not in axes:
            found[name] = tensor
            continue
        others = [axis for axis in range(tensor.ndim) if axis != axes[name]]
        scale = tensor.float().abs().amax(others, keepdim=True) / LARGEST
        scale[scale == 0] = 1  # a channel of zeros
        found[name] = (tensor.float() / scale).round().clamp(-LARGEST, LARGEST).to(torch.int8)
        found[name + SCALE] = scale
    return found


def expanded(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What ``quantised`` gave, in float32; weights that were not quantised come as they are.

    Raises
    ------
    WeightsError
        A weight in int8 has no scale, or one of another shape.
    """
    found = {}
    for name, tensor in without_scales(state).items():
        if tensor.dtype == torch.int8:
            scale = state.get(name + SCALE, torch.empty(0))
            # compared side by side: a scale that broadcasts beyond the weight would fill the memory
            if scale.ndim != tensor.ndim or any(
                n not in (1, m) for n, m in zip(scale.shape, tensor.shape, strict=True)
            ):
                raise WeightsError(
                    f"The weight {name!s:.200} is in int8, {tuple(tensor.shape)}, and its scale {tuple(scale.shape)} "
                    "does not fit; get the model anew."
                )
            tensor = tensor.float() * scale.float()
        found[name] = tensor
    return found


def without_scales(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """What a file holds by name, or is known of it, without the scales of weights that are there."""
    return {
        name: one for name, one in stored.items() if not (name.endswith(SCALE) and name.removesuffix(SCALE) in stored)
    }


def _output_axes(network: torch.nn.Module) -> dict[str, int]:
    """The axis of the output channels, by name of the weight; a layer with several names stands under each."""
    axes = {}
    for name, layer in network.named_modules(remove_duplicate=False):
        if isinstance(layer, TRANSPOSED + OTHERS):
            axes[f"{name}.weight" if name else "weight"] = int(isinstance(layer, TRANSPOSED))
    return axes
