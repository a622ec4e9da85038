"""A U-Net's last level at half of its size, where the eight voxels of a cube are channels: the same sums, much faster.

A transposed convolution to a few channels, and what comes after it up to the network's scores, has many voxels and few
channels, for which libraries have no fast way: they compute in blocks of 16 channels. With eight voxels in one they
have as many, as in Shi et al., CVPR 2016; at the end the voxels are laid down. Channels are ordered by
``(channel, x, y, z)``, the last three of which say which eighth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from .folding import is_sequence

MOST_CHANNELS = 4
"""Of the transposed convolution. 32 to 2 channels, from 48x48x48 to 96x96x96 voxels in bf16: 5.9 ms against 13.9 on one
core; but 64 to 16 channels, from 24x24x24: 4.9 against 3.9."""

UP = torch.tensor([[[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]]])
"""Along one axis, [even or odd output, its input or the next one, tap of the transposed kernel]: an even output is the
input times the middle tap, an odd one the input times the last tap and the next input times the first one."""

ALONG = torch.zeros(2, 2, 3, 3, dtype=torch.long)
"""Along one axis, [even or odd output, even or odd input, cube before, here or after, tap of the kernel]."""
for _output in range(2):
    for _tap in range(3):
        _cube, _input = divmod(_output + _tap - 1, 2)
        ALONG[_output, _input, _cube + 1, _tap] = 1

PAIR_OF = {2: torch.int32, 4: torch.int64}
"""A number as long as two neighbours along z, by one's bytes: these stay together, and half as many are moved."""

SAME = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout3d)
"""Layers that treat every number alike, when nothing is dropped."""


def in_eighths(layer: nn.Module, dtype: torch.dtype | None) -> nn.Module | None:
    """A layer, or a sequence of them, that begins with a doubling transposed convolution, in eighths.

    Parameters
    ----------
    layer:
        Maps ``(batch, channel, x, y, z)``.
    dtype:
        What it is going to compute in; None for its weights'.

    Returns
    -------
    torch.nn.Module or None
        Its result is contiguous. None where the layer begins in another way, or holds something else than
        convolutions that keep the size, instance normalisation, activations and MONAI's residual units of these.
    """
    first = layer
    while is_sequence(first) and len(first):
        first = first[0]
    if not _doubles(first):
        return None
    found = _converted(layer, dtype)
    return None if found is None else nn.Sequential(found, _LaidDown())


def _doubles(layer: nn.Module) -> TypeGuard[nn.ConvTranspose3d]:
    return (
        isinstance(layer, nn.ConvTranspose3d)
        and layer.out_channels <= MOST_CHANNELS
        and (layer.kernel_size, layer.stride, layer.padding) == ((3,) * 3, (2,) * 3, (1,) * 3)
        and (layer.output_padding, layer.dilation, layer.groups) == ((1,) * 3, (1,) * 3, 1)
        and not is_parametrized(layer)
    )


def _converted(layer: nn.Module, dtype: torch.dtype | None) -> nn.Module | None:
    """What a layer is in eighths; None where nothing is."""
    if isinstance(layer, SAME) or (isinstance(layer, nn.PReLU) and layer.weight.numel() == 1):
        return layer
    if is_sequence(layer):
        return _all(layer, dtype)
    if _is_residual_unit(layer):
        parts = _all(layer.children(), dtype)
        return None if parts is None else _Sum(*parts)
    if isinstance(layer, nn.InstanceNorm3d) and not layer.track_running_stats:
        return _Norm(layer)
    if _doubles(layer):
        return _Doubling(layer, dtype)
    return _Convolution(layer, dtype) if _keeps_the_size(layer) else None


def _all(layers: Iterable[nn.Module], dtype: torch.dtype | None) -> nn.Sequential | None:
    """The layers in eighths; None where one of them cannot be."""
    found = [_converted(layer, dtype) for layer in layers]
    whole = [one for one in found if one is not None]
    return nn.Sequential(*whole) if len(whole) == len(found) else None


def _is_residual_unit(layer: nn.Module) -> bool:
    """Known by its name, as MONAI is not imported here."""
    return (type(layer).__module__, type(layer).__name__) == ("monai.networks.blocks.convolutions", "ResidualUnit")


def _keeps_the_size(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether it is a plain convolution of three taps or one."""
    return (
        isinstance(layer, nn.Conv3d)
        and (layer.kernel_size, layer.padding) in (((3,) * 3, (1,) * 3), ((1,) * 3, (0,) * 3))
        and (layer.stride, layer.dilation, layer.groups, layer.padding_mode) == ((1,) * 3, (1,) * 3, 1, "zeros")
        and layer.out_channels <= MOST_CHANNELS
        and not is_parametrized(layer)
    )


class _Weights(nn.Module):
    """A kernel and a bias of each eighth, in the type that is computed in."""

    def __init__(self, kernel: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        dtype = dtype or kernel.dtype
        kernel = kernel.to(dtype, memory_format=torch.channels_last_3d)
        self.weight = nn.Parameter(kernel, requires_grad=False)
        self.bias = None
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().repeat_interleave(8).to(dtype), requires_grad=False)


class _Doubling(_Weights):
    """A transposed convolution, of which each voxel gives the eight of its cube."""

    def __init__(self, layer: nn.ConvTranspose3d, dtype: torch.dtype | None) -> None:
        up = UP.to(layer.weight.dtype)
        # i, o: channels; x, y, z: taps of the transposed kernel; p, q, r: which output; a, b, c: taps of the new kernel
        kernel = torch.einsum("ioxyz,pax,qby,rcz->opqriabc", layer.weight.detach(), up, up, up).flatten(0, 3)
        super().__init__(kernel, layer.bias, dtype)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Image (batch, channel, x, y, z) to eighths (batch, channel, x, y, z)."""
        return functional.conv3d(functional.pad(image, (0, 1) * 3), self.weight, self.bias)


class _Convolution(_Weights):
    """A convolution that keeps the size."""

    def __init__(self, layer: nn.Conv3d, dtype: torch.dtype | None) -> None:
        along = ALONG.to(layer.weight.dtype)
        weight = layer.weight.detach()
        if layer.kernel_size[0] == 1:
            weight = functional.pad(weight, (1, 1) * 3)
        # o, i: channels; x, y, z: taps; p, q, r: which output; s, t, u: which input; a, b, c: taps of the new kernel
        kernel = torch.einsum("oixyz,psax,qtby,rucz->opqristuabc", weight, along, along, along)
        super().__init__(kernel.flatten(4, 7).flatten(0, 3), layer.bias, dtype)

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Eighths to eighths."""
        return functional.conv3d(eighths, self.weight, self.bias, padding=1)


class _Norm(nn.Module):
    """Instance normalisation: of the eight channels of one together."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_features, norm.eps
        given = [None if one is None else one.detach().repeat_interleave(8) for one in (norm.weight, norm.bias)]
        self.weight, self.bias = (None if one is None else nn.Parameter(one, requires_grad=False) for one in given)

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Each channel of each image with mean 0 and standard deviation 1, scaled and shifted."""
        return functional.group_norm(eighths, self.groups, self.weight, self.bias, self.eps)


class _Sum(nn.Module):
    """What two layers make of the same."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Eighths to eighths."""
        found: torch.Tensor = self.first(eighths) + self.second(eighths)
        return found


class _LaidDown(nn.Module):
    """Eighths as the voxels that they are."""

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Eighths (batch, channel, x, y, z) to an image of twice the size."""
        batch, channels, x, y, z = eighths.shape
        last = eighths.movedim(1, -1).contiguous()
        pairs = last.view(PAIR_OF[eighths.itemsize]).reshape(batch, x, y, z, channels // 8, 2, 2)
        laid = pairs.permute(0, 4, 1, 5, 2, 6, 3).clone(memory_format=torch.contiguous_format)
        return laid.view(batch, channels // 8, 2 * x, 2 * y, z).view(eighths.dtype)
