"""Convolutions with their weights laid out for the processor once, and what follows them done on the way.

PyTorch's convolutions on CPUs are oneDNN's, which lays out the weights anew at each call, and gives results to memory
that the activation and a sum then go over again. These are the calls that PyTorch's compiler makes for frozen networks
(docs/adr/0015-packed-convolutions.md).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import TypeGuard

import torch
from torch import nn
from torch.nn.utils import skip_init
from torch.nn.utils.parametrize import is_parametrized

from .folding import CONVOLUTIONS, NOTHING, TRANSPOSED, Convolution, in_order, is_residual_unit, is_sequence

ONEDNN = torch.ops.mkldnn
CALLS = (
    "_convolution_pointwise",
    "_convolution_pointwise_",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)

TOLERANCE = 0.2
"""Of sums of 54 products of numbers up to 1, which bfloat16 keeps to some hundredths."""

MOST_SIZES = 4
"""Of images that weights are kept for; windows are of one size, but batches are not."""

Activation = tuple[str, tuple[float, ...]]
NONE: Activation = ("none", ())


def can_pack(dtype: torch.dtype | None) -> bool:
    """Whether these calls work with this PyTorch on this machine in ``dtype`` (None: float32)."""
    if not torch.backends.mkldnn.is_available() or not all(hasattr(ONEDNN, name) for name in CALLS):
        return False
    return dtype in (None, torch.float32, torch.bfloat16) and _works(dtype or torch.float32)


@lru_cache
def _works(dtype: torch.dtype) -> bool:
    """Whether a small packed convolution gives what a plain one does."""
    layer = skip_init(nn.Conv3d, 2, 3, 3, padding=1)
    layer.weight.data = torch.linspace(-1, 1, layer.weight.numel()).reshape(layer.weight.shape)
    layer.bias.data = torch.ones(3)
    image = torch.linspace(-1, 1, 128).reshape(1, 2, 4, 4, 4)
    with torch.inference_mode():
        expected = torch.relu(layer(image))
        try:
            found = _Packed(layer, dtype, ("relu", ()))(image)
        except RuntimeError:
            return False
    return torch.allclose(found.float(), expected.float(), atol=TOLERANCE)  # also where autocast is on already


def pack(network: nn.Module, dtype: torch.dtype | None) -> None:
    """Put packed convolutions in the place of plain ones; those take over activations and sums.

    Where a sequence says that an activation comes after a convolution, and where one is the residual of a unit of
    MONAI's. Layers that stand in several places keep to themselves.

    Parameters
    ----------
    network:
        Can be called without gradients only, afterwards; shares its weights.
    dtype:
        What they compute in; None for their weights'.
    """
    times = Counter(id(layer) for _, layer in network.named_modules(remove_duplicate=False))
    activations: dict[int, Activation] = {}
    for sequence in [module for module in network.modules() if is_sequence(module)]:
        places = [place for place in in_order(sequence) if not isinstance(place[2], NOTHING)]
        for (_, _, layer), (holder, name, follower) in pairwise(places):
            if _is_plain(layer) and times[id(layer)] == 1 and (found := _activation(follower)) is not None:
                activations[id(layer)] = found
                setattr(holder, name, nn.Identity())
    packed: dict[int, _Packed] = {}
    for module in list(network.modules()):
        for name, child in module.named_children():
            if _is_plain(child):
                if id(child) not in packed:
                    packed[id(child)] = _Packed(child, dtype, activations.get(id(child), NONE))
                setattr(module, name, packed[id(child)])
    for module in list(network.modules()):
        for name, child in module.named_children():
            if is_residual_unit(child):
                branch, residual = child.children()
                if isinstance(residual, _Packed):
                    setattr(module, name, _Sum(branch, residual))


def _is_plain(layer: nn.Module) -> TypeGuard[Convolution]:
    """Whether it is a convolution whose weights stay what they are; MONAI has some that work out their padding."""
    return (
        type(layer) in CONVOLUTIONS
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and (layer.groups == 1 or not isinstance(layer, TRANSPOSED))
        and not is_parametrized(layer)
    )


def _activation(layer: nn.Module) -> Activation | None:
    """By oneDNN's name with its slope; None where it has none that is certain to be the same."""
    if isinstance(layer, nn.ReLU):
        return "relu", ()
    if isinstance(layer, nn.LeakyReLU):
        return "leaky_relu", (layer.negative_slope,)
    if isinstance(layer, nn.PReLU) and layer.weight.numel() == 1:
        return "leaky_relu", (layer.weight.item(),)
    return None


class _Packed(nn.Module):
    """A convolution, and the activation behind it.

    Weights are packed for each size of images: oneDNN chooses their form by it, and that of another size can take
    twenty times as long.
    """

    def __init__(self, layer: Convolution, dtype: torch.dtype | None, then: Activation) -> None:
        super().__init__()
        self.weight, self.dtype = layer.weight, dtype or layer.weight.dtype
        self.bias = None if layer.bias is None else layer.bias.detach().to(self.dtype)
        self.layout = torch.channels_last_3d if self.weight.dim() == 5 else torch.channels_last
        if isinstance(layer, TRANSPOSED):
            self.call = ONEDNN._convolution_transpose_pointwise
            self.packed = ONEDNN._reorder_convolution_transpose_weight
            paddings: tuple[object, ...] = (layer.padding, layer.output_padding)
        else:
            self.call, self.packed = ONEDNN._convolution_pointwise, ONEDNN._reorder_convolution_weight
            paddings = (layer.padding,)
        self.how = (*paddings, layer.stride, layer.dilation, layer.groups)
        self.then = (then[0], list(then[1]), "")
        self.weights: dict[torch.Size, torch.Tensor] = {}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Image (batch, channel, x, y[, z]) to an image, channels last."""
        image = self.taken(image)
        found: torch.Tensor = self.call(image, self.weight_for(image.shape), self.bias, *self.how, *self.then)
        return found

    def taken(self, image: torch.Tensor) -> torch.Tensor:
        """The image as it is computed with."""
        return image.to(self.dtype, memory_format=self.layout)

    def weight_for(self, size: torch.Size) -> torch.Tensor:
        """The weights, packed for images of this size (batch, channel, x, y[, z])."""
        found = self.weights.get(size)
        if found is None:
            if len(self.weights) == MOST_SIZES:
                self.weights.clear()
            weight = self.weight.detach().to(self.dtype, memory_format=self.layout)
            found = self.weights[size] = self.packed(weight, *self.how, size)
        return found

    def added_to(self, other: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """``other``, to which what it makes of the image has been added."""
        if other.dtype != self.dtype or not other.is_contiguous(memory_format=self.layout):
            return other.add_(self(image))
        image = self.taken(image)
        found: torch.Tensor = ONEDNN._convolution_pointwise_.binary(
            other, image, self.weight_for(image.shape), self.bias, *self.how, "add", 1.0, None, [], None
        )
        return found


class _Sum(nn.Module):
    """What a branch and a convolution make of the same image."""

    def __init__(self, branch: nn.Module, residual: _Packed) -> None:
        super().__init__()
        self.branch, self.residual = branch, residual

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Image (batch, channel, x, y[, z]) to an image."""
        image = self.residual.taken(image)  # once for both
        return self.residual.added_to(self.branch(image), image)
