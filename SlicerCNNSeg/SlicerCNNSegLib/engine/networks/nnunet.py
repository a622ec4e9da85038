"""The two U-Nets of nnU-Net v2, whose trained weights run in them.

The plain one: Isensee et al., Nat Methods 18:203, 2021. The one with a residual encoder: Isensee et al., nnU-Net
Revisited, MICCAI 2024, with blocks after He et al., Bag of tricks, CVPR 2019 (ResNet-D). Names of weights are those of
nnU-Net, but for the last layer (``head``); what it stores twice is here once (``engine/nnunet/checkpoints.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from monai.networks.layers.utils import get_act_layer, get_norm_layer
from monai.utils import ensure_tuple_rep

from .facts import NetworkFacts

Sizes = Sequence[int] | int
"""One number for all axes, or one per axis."""

INSTANCE = ("instance", {"eps": 1e-5, "affine": True})
LEAKY = ("leakyrelu", {"inplace": True})

FACTS = NetworkFacts(deepest=2, heads=("head",), widths="features_per_stage")
"""Instance normalisation needs more than one voxel at the deepest level."""


@dataclass(frozen=True)
class _Style:
    """What all layers of a network share: dimensions, whether convolutions have a bias, normalisation, activation."""

    dims: int
    bias: bool
    norm: tuple[str, Mapping[str, Any]]
    act: tuple[str, Mapping[str, Any]]


class _Convolution(torch.nn.Sequential):
    """Convolution, normalisation and, unless it is left out, activation."""

    def __init__(
        self,
        style: _Style,
        inputs: int,
        outputs: int,
        kernel: Sizes,
        stride: Sizes = 1,
        *,
        bias: bool,
        act: bool = True,
    ) -> None:
        super().__init__()
        kernels = ensure_tuple_rep(kernel, style.dims)
        padding = tuple((size - 1) // 2 for size in kernels)
        strides = ensure_tuple_rep(stride, style.dims)
        self.conv = Conv[Conv.CONV, style.dims](inputs, outputs, kernels, strides, padding, bias=bias)
        self.norm = get_norm_layer(style.norm, style.dims, outputs)
        if act:
            self.act = get_act_layer(style.act)


class _Convolutions(torch.nn.Module):
    """Several of them; the first one strides."""

    def __init__(self, style: _Style, inputs: int, outputs: int, kernel: Sizes, stride: Sizes, count: int) -> None:
        super().__init__()
        self.convs = torch.nn.Sequential(
            *(
                _Convolution(style, outputs if n else inputs, outputs, kernel, 1 if n else stride, bias=style.bias)
                for n in range(count)
            )
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (batch, inputs, ...) to (batch, outputs, ... / stride)."""
        return self.convs(features)


class _ResidualBlock(torch.nn.Module):
    """Two convolutions beside a way that is averaged where they stride, and projected where they widen."""

    def __init__(self, style: _Style, inputs: int, outputs: int, kernel: Sizes, stride: Sizes) -> None:
        super().__init__()
        self.conv1 = _Convolution(style, inputs, outputs, kernel, stride, bias=style.bias)
        self.conv2 = _Convolution(style, outputs, outputs, kernel, bias=style.bias, act=False)
        strides = ensure_tuple_rep(stride, style.dims)
        way: list[torch.nn.Module] = []
        if max(strides) > 1:
            way.append(Pool[Pool.AVG, style.dims](strides, strides))
        if inputs != outputs:
            way.append(_Convolution(style, inputs, outputs, 1, bias=False, act=False))
        self.skip = torch.nn.Sequential(*way)
        self.act = get_act_layer(style.act)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (batch, inputs, ...) to (batch, outputs, ... / stride)."""
        return self.act(self.conv2(self.conv1(features)) + self.skip(features))


class _ResidualBlocks(torch.nn.Module):
    """Several of them; the first one strides."""

    def __init__(self, style: _Style, inputs: int, outputs: int, kernel: Sizes, stride: Sizes, count: int) -> None:
        super().__init__()
        self.blocks = torch.nn.Sequential(
            *(
                _ResidualBlock(style, outputs if n else inputs, outputs, kernel, 1 if n else stride)
                for n in range(count)
            )
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (batch, inputs, ...) to (batch, outputs, ... / stride)."""
        return self.blocks(features)


class _Encoder(torch.nn.Module):
    """Stages one after another, the features of each of which are given."""

    def __init__(self, stem: torch.nn.Module, stages: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = torch.nn.Sequential(*stages)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features of all stages, the finest first."""
        features = [self.stem(image)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class _Decoder(torch.nn.Module):
    """From the deepest stage up: transposed convolutions, and convolutions over these and the encoder's features."""

    def __init__(
        self,
        style: _Style,
        widths: Sequence[int],
        kernels: Sequence[Sizes],
        strides: Sequence[Sizes],
        counts: Sequence[int],
    ) -> None:
        super().__init__()
        up, stages = [], []
        for level, count in zip(range(len(widths) - 1, 0, -1), counts, strict=True):
            step = ensure_tuple_rep(strides[level], style.dims)
            below, here = widths[level], widths[level - 1]
            up.append(Conv[Conv.CONVTRANS, style.dims](below, here, step, step, bias=style.bias))
            stages.append(_Convolutions(style, 2 * here, here, kernels[level - 1], 1, count))
        self.transpconvs, self.stages = torch.nn.ModuleList(up), torch.nn.ModuleList(stages)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the encoder's stages, the finest first, to those of the finest grid."""
        found = features[-1]
        for up, stage, beside in zip(self.transpconvs, self.stages, reversed(features[:-1]), strict=True):
            found = stage(torch.cat((up(found), beside), 1))
        return found


class _UNet(torch.nn.Module):
    """Encoder, decoder and a last layer; gives scores (batch, class, ...) on the grid of the image."""

    def __init__(self, encoder: _Encoder, decoder: _Decoder, head: torch.nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of images (batch, channel, ...)."""
        return self.head(self.decoder(self.encoder(image)))


class PlainConvUNet(_UNet):
    """nnU-Net's U-Net of plain convolutions.

    Parameters
    ----------
    features_per_stage, kernel_sizes, strides, n_conv_per_stage:
        One entry per stage of the encoder, the finest first; kernels and strides are one number or one per axis.
    n_conv_per_stage_decoder:
        One entry per stage of the decoder, the coarsest first.
    norm, act:
        Name and arguments, as for MONAI's networks.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features_per_stage: Sequence[int],
        kernel_sizes: Sequence[Sizes],
        strides: Sequence[Sizes],
        n_conv_per_stage: Sequence[int],
        n_conv_per_stage_decoder: Sequence[int],
        conv_bias: bool = True,
        norm: tuple[str, Mapping[str, Any]] = INSTANCE,
        act: tuple[str, Mapping[str, Any]] = LEAKY,
    ) -> None:
        style = _Style(spatial_dims, conv_bias, norm, act)
        inputs = (in_channels, *features_per_stage[:-1])
        each = zip(inputs, features_per_stage, kernel_sizes, strides, n_conv_per_stage, strict=True)
        stages = [torch.nn.Sequential(_Convolutions(style, *one)) for one in each]
        decoder = _Decoder(style, features_per_stage, kernel_sizes, strides, n_conv_per_stage_decoder)
        super().__init__(_Encoder(torch.nn.Identity(), stages), decoder, _head(style, features_per_stage, out_channels))


class ResidualEncoderUNet(_UNet):
    """nnU-Net's U-Net with a residual encoder; arguments as of ``PlainConvUNet``.

    Parameters
    ----------
    n_blocks_per_stage:
        Residual blocks of each stage of the encoder, the finest first.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features_per_stage: Sequence[int],
        kernel_sizes: Sequence[Sizes],
        strides: Sequence[Sizes],
        n_blocks_per_stage: Sequence[int],
        n_conv_per_stage_decoder: Sequence[int],
        conv_bias: bool = True,
        norm: tuple[str, Mapping[str, Any]] = INSTANCE,
        act: tuple[str, Mapping[str, Any]] = LEAKY,
    ) -> None:
        style = _Style(spatial_dims, conv_bias, norm, act)
        first = features_per_stage[0]
        stem = _Convolutions(style, in_channels, first, kernel_sizes[0], 1, 1)
        inputs = (first, *features_per_stage[:-1])
        each = zip(inputs, features_per_stage, kernel_sizes, strides, n_blocks_per_stage, strict=True)
        stages = [_ResidualBlocks(style, *one) for one in each]
        decoder = _Decoder(style, features_per_stage, kernel_sizes, strides, n_conv_per_stage_decoder)
        super().__init__(_Encoder(stem, stages), decoder, _head(style, features_per_stage, out_channels))


def refined(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """The facts of one definition: the stride of its deepest stage, and its stages."""
    dims = arguments["spatial_dims"]
    columns = zip(*(ensure_tuple_rep(stride, dims) for stride in arguments["strides"]), strict=True)
    stages = tuple(f"encoder.stages.{n}" for n in range(len(arguments["strides"])))
    stem = ("encoder.stem",) if "n_blocks_per_stage" in arguments else ()  # the plain network's has no weights
    return replace(facts, stride=tuple(math.prod(column) for column in columns), encoder=(*stem, *stages))


def _head(style: _Style, widths: Sequence[int], classes: int) -> torch.nn.Module:
    layer: torch.nn.Module = Conv[Conv.CONV, style.dims](widths[0], classes, 1)
    return layer
