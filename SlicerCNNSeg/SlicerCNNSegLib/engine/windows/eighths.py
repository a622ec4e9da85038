"""A U-Net's last level at half of its size, where the eight voxels of a cube are channels: the same sums, much faster.

A transposed convolution to a few channels, and what comes after it up to the network's scores, has many voxels and few
channels, for which libraries have no fast way: they compute in blocks of 16 channels. With eight voxels in one they
have as many, as in Shi et al., CVPR 2016; at the end the voxels are laid down. Channels are ordered by
``(channel, x, y, z)``, the last three of which say which eighth.

Cubes begin at the image's first voxel, or one before it ("shifted"): then there is one more along each axis, and the
outermost hold voxels outside of the image. A convolution of three taps takes one kind to the other. Along an axis, the
two voxels of a cube need four, which are two cubes of the other kind, but would be parts of three of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init
from torch.nn.utils.parametrize import is_parametrized

from .folding import is_residual_unit, is_sequence

MOST_CHANNELS = 4
"""Of the transposed convolution. 32 to 2 channels, from 48x48x48 to 96x96x96 voxels in bf16: 5.8 ms against 17.5 on one
core, and 64 to 8, from 24x24x24, 3.6 against 3.9; but 64 to 16: 6.4 against 3.8."""

UP = torch.tensor([[[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]]])
"""Along one axis, [voxel of the cube, its input or the next one, tap of the transposed kernel]: the first voxel is the
input times the middle tap, the second one the input times the last tap and the next input times the first one. Of
shifted cubes it is the other way around."""

ALONG = torch.zeros(2, 2, 2, 3, dtype=torch.long)
"""Along one axis, [voxel of the cube, voxel of a cube of the other kind, which of two such cubes, tap]."""
for _output in range(2):
    for _tap in range(3):
        _cube, _input = divmod(_output + _tap, 2)
        ALONG[_output, _input, _cube, _tap] = 1

PAIR_OF = {2: torch.int32, 4: torch.int64}
"""A number as long as two neighbours along z, by one's bytes: these stay together, and half as many are moved."""

SAME = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout3d)
"""Layers that treat every number alike, when nothing is dropped."""


def in_eighths(layer: nn.Module) -> nn.Module | None:
    """A layer, or a sequence of them, that begins with a doubling transposed convolution, in eighths.

    Parameters
    ----------
    layer:
        Maps ``(batch, channel, x, y, z)``.

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
    found = _Eighths(shifted=_changes(layer)).of(layer)
    return None if found is None else nn.Sequential(found, _LaidDown())


class _Eighths:
    """Makes layers in eighths, one after the other.

    ``shifted``: whether the cubes are, before the next layer, and at first after the transposed convolution.
    """

    def __init__(self, *, shifted: bool) -> None:
        self.shifted = shifted

    def of(self, layer: nn.Module) -> nn.Module | None:
        """What the next layer is in eighths; None where nothing is."""
        if isinstance(layer, SAME) or (isinstance(layer, nn.PReLU) and layer.weight.numel() == 1):
            return layer
        if is_sequence(layer):
            return self._all(layer)
        if is_residual_unit(layer):
            return self._sum(*layer.children())
        if isinstance(layer, nn.InstanceNorm3d) and not layer.track_running_stats:
            return self._on_image(_Norm(layer, shifted=self.shifted))
        if _doubles(layer):
            return _doubling(layer, shifted=self.shifted)
        return self._convolution(layer) if _keeps_the_size(layer) else None

    def _all(self, layers: Iterable[nn.Module]) -> nn.Sequential | None:
        """The layers in eighths; None where one of them cannot be."""
        found = [self.of(layer) for layer in layers]
        whole = [one for one in found if one is not None]
        return nn.Sequential(*whole) if len(whole) == len(found) else None

    def _sum(self, branch: nn.Module, residual: nn.Module) -> nn.Module | None:
        """Of a residual unit: one convolution where its branch is no more than that."""
        if isinstance(residual, nn.Identity):
            residual = _identity(next(one for one in branch.modules() if isinstance(one, nn.Conv3d)))
        if not _keeps_the_size(residual):
            return None
        layers = [layer for layer in branch.modules() if not is_sequence(layer)]
        if len(layers) == 1 and _keeps_the_size(layers[0]):
            return self._convolution(_added(layers[0], residual))
        beside = _Eighths(shifted=self.shifted)._convolution(residual, changing=_changes(branch))
        found = self.of(branch)
        return None if found is None else _Sum(found, beside)

    def _convolution(self, layer: nn.Conv3d, *, changing: bool | None = None) -> nn.Module:
        """A convolution that keeps the size; ``changing``: the kind of cubes, by default where it has three taps."""
        weight = layer.weight.detach()
        if not (_changes(layer) if changing is None else changing):
            eye = torch.eye(2, dtype=weight.dtype)
            kernel = torch.einsum("oixyz,ps,qt,ru->opqristuxyz", weight, eye, eye, eye)
            return _convolution(kernel.flatten(4, 7).flatten(0, 3), layer.bias)
        if layer.kernel_size[0] == 1:
            weight = functional.pad(weight, (1, 1) * 3)
        along = ALONG.to(weight.dtype)
        # o, i: channels; x, y, z: taps; p, q, r: which output; s, t, u: which input; a, b, c: taps of the new kernel
        kernel = torch.einsum("oixyz,psax,qtby,rucz->opqristuabc", weight, along, along, along)
        moved = _convolution(kernel.flatten(4, 7).flatten(0, 3), layer.bias, padding=int(not self.shifted))
        found, self.shifted = self._on_image(moved), not self.shifted
        return found

    def _on_image(self, layer: nn.Module) -> nn.Module:
        """A layer that sees zeros outside of the image."""
        return nn.Sequential(_Outside(), layer) if self.shifted else layer


def _doubles(layer: nn.Module) -> TypeGuard[nn.ConvTranspose3d]:
    return (
        isinstance(layer, nn.ConvTranspose3d)
        and layer.out_channels <= MOST_CHANNELS
        and (layer.kernel_size, layer.stride, layer.padding) == ((3,) * 3, (2,) * 3, (1,) * 3)
        and (layer.output_padding, layer.dilation, layer.groups) == ((1,) * 3, (1,) * 3, 1)
        and not is_parametrized(layer)
    )


def _keeps_the_size(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether it is a plain convolution of three taps or one."""
    return (
        isinstance(layer, nn.Conv3d)
        and (layer.kernel_size, layer.padding) in (((3,) * 3, (1,) * 3), ((1,) * 3, (0,) * 3))
        and (layer.stride, layer.dilation, layer.groups, layer.padding_mode) == ((1,) * 3, (1,) * 3, 1, "zeros")
        and layer.out_channels <= MOST_CHANNELS
        and not is_parametrized(layer)
    )


def _changes(layer: nn.Module) -> bool:
    """Whether the cubes after it are of the other kind."""
    if is_residual_unit(layer):
        return _changes(next(layer.children()))
    if is_sequence(layer):
        return sum(map(_changes, layer)) % 2 == 1
    return isinstance(layer, nn.Conv3d) and layer.kernel_size[0] == 3


def _doubling(layer: nn.ConvTranspose3d, *, shifted: bool) -> nn.Module:
    """A transposed convolution, of which each voxel gives the eight of its cube."""
    up = (UP.flip(0, 1, 2) if shifted else UP).to(layer.weight.dtype)
    # i, o: channels; x, y, z: taps of the transposed kernel; p, q, r: which output; a, b, c: taps of the new kernel
    kernel = torch.einsum("ioxyz,pax,qby,rcz->opqriabc", layer.weight.detach(), up, up, up).flatten(0, 3)
    return nn.Sequential(nn.ConstantPad3d((int(shifted), 1) * 3, 0.0), _convolution(kernel, layer.bias))


def _convolution(kernel: torch.Tensor, bias: torch.Tensor | None, padding: int = 0) -> nn.Conv3d:
    """With a given kernel and the bias of each channel's eight eighths."""
    out_channels, in_channels, *size = kernel.shape
    found = skip_init(nn.Conv3d, in_channels, out_channels, tuple(size), padding=padding, bias=bias is not None)
    found.weight = nn.Parameter(kernel, requires_grad=False)
    if bias is not None:
        found.bias = nn.Parameter(bias.detach().repeat_interleave(8), requires_grad=False)
    return found


def _identity(like: nn.Conv3d) -> nn.Conv3d:
    """A convolution of one tap that gives what it takes, for as many channels as another one takes."""
    found = skip_init(nn.Conv3d, like.in_channels, like.in_channels, 1, bias=False)
    found.weight = nn.Parameter(torch.eye(like.in_channels, dtype=like.weight.dtype)[..., None, None, None])
    return found


def _added(first: nn.Conv3d, second: nn.Conv3d) -> nn.Conv3d:
    """One convolution of three taps for the sum of two."""
    weights = [functional.pad(one.weight.detach(), ((3 - one.kernel_size[0]) // 2,) * 6) for one in (first, second)]
    biases = [one.bias.detach() for one in (first, second) if one.bias is not None]
    found = skip_init(nn.Conv3d, first.in_channels, first.out_channels, 3, padding=1, bias=bool(biases))
    found.weight = nn.Parameter(weights[0] + weights[1], requires_grad=False)
    if biases:
        found.bias = nn.Parameter(torch.stack(biases).sum(0), requires_grad=False)
    return found


class _Outside(nn.Module):
    """Sets what shifted cubes hold outside of the image to zero, in place."""

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Eighths (batch, channel, x, y, z)."""
        cubes = eighths.unflatten(1, (-1, 2, 2, 2))
        for axis in range(3):
            for end in (0, -1):
                cubes.select(axis + 2, end).select(axis + 4, end).zero_()
        return eighths


class _Norm(nn.Module):
    """Instance normalisation: of the eight channels of one together, inside of the image."""

    def __init__(self, norm: nn.InstanceNorm3d, *, shifted: bool) -> None:
        super().__init__()
        self.outside, self.eps = int(shifted), norm.eps
        given = [None if one is None else one.detach().repeat_interleave(8) for one in (norm.weight, norm.bias)]
        self.weight, self.bias = (None if one is None else nn.Parameter(one, requires_grad=False) for one in given)

    def forward(self, eighths: torch.Tensor) -> torch.Tensor:
        """Each channel of each image with mean 0 and standard deviation 1, scaled and shifted."""
        return torch.cat([self._one(image) for image in eighths.split(1)])

    def _one(self, image: torch.Tensor) -> torch.Tensor:
        blank = torch.zeros(image.shape[1])
        means, variances = torch.batch_norm_update_stats(image, blank, blank + 1, 0.0)
        inside = math.prod(n - self.outside for n in image.shape[2:])
        share = math.prod(image.shape[2:]) / inside  # what is outside adds zeros to the sums
        mean = means.double().view(-1, 8).mean(1) * share
        square = (variances.double() + means.double() ** 2).view(-1, 8).mean(1) * share
        mean, variance = (one.float().repeat_interleave(8) for one in (mean, square - mean**2))
        return functional.batch_norm(image, mean, variance, self.weight, self.bias, eps=self.eps)


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
