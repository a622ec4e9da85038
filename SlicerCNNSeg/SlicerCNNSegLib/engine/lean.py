"""Networks for inference alone, without MONAI, whose import takes longer than the run of a small image.

The layers and the names of their weights are those of the network that MONAI would make of the same definition; what is
not made here is left to ``engine/networks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.01
"""Of the leaky ReLU of MONAI's DynUNet."""

Layer = Callable[..., nn.Module]
CONVOLUTIONS: Mapping[int, Layer] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: Mapping[int, Layer] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS: Mapping[int, Layer] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
KNOWN = {
    "_target_", "spatial_dims", "in_channels", "out_channels", "kernel_size", "strides", "upsample_kernel_size",
    "filters", "norm_name", "deep_supervision", "deep_supr_num",
}  # fmt: skip
"""Arguments of the DynUNet that is made here: plain blocks, without dropout."""


def lean_network(definition: Mapping[str, Any]) -> nn.Module | None:
    """The network of a bundle's ``network_def`` with fresh weights, for inference; None where it is not made here."""
    if str(definition.get("_target_", "")).rpartition(".")[2] != "DynUNet" or set(definition) - KNOWN:
        return None
    affine = _affine(definition.get("norm_name", ("instance", {"affine": True})))
    plain = KNOWN - {"deep_supervision", "deep_supr_num", "norm_name"}
    if affine is None or not plain <= set(definition) or len(definition["filters"]) != len(definition["strides"]):
        return None
    return _DynUNet(definition, affine)


def _affine(norm: Any) -> bool | None:
    """Whether an instance normalisation scales and shifts; None for another normalisation."""
    name, arguments = (norm, {}) if isinstance(norm, str) else (norm[0], dict(norm[1]))
    if str(name).lower() != "instance" or set(arguments) - {"affine"}:
        return None
    return bool(arguments.get("affine", False))


class _Named(nn.Module):
    """A layer under the name ``conv``, as in MONAI's blocks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.conv = layer

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.conv(image)
        return found


class _Block(nn.Module):
    """Twice convolution, normalisation and leaky ReLU; the first one strides."""

    def __init__(self, dims: int, inputs: int, outputs: int, kernel: Any, stride: Any, affine: bool) -> None:
        super().__init__()
        self.conv1 = _Named(_convolution(dims, inputs, outputs, kernel, stride))
        self.conv2 = _Named(_convolution(dims, outputs, outputs, kernel, 1))
        self.norm1, self.norm2 = (NORMS[dims](outputs, affine=affine) for _ in range(2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = functional.leaky_relu_(self.norm1(self.conv1(image)), SLOPE)
        return functional.leaky_relu_(self.norm2(self.conv2(image)), SLOPE)


class _Up(nn.Module):
    """From a level to the finer one: transposed convolution, then a block over it and the encoder's features."""

    def __init__(self, dims: int, inputs: int, outputs: int, kernel: Any, step: Any, affine: bool) -> None:
        super().__init__()
        self.transp_conv = _Named(TRANSPOSED[dims](inputs, outputs, step, step, bias=False))
        self.conv_block = _Block(dims, 2 * outputs, outputs, kernel, 1, affine)

    def forward(self, image: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.conv_block(torch.cat((self.transp_conv(image), beside), 1))
        return found


class _DynUNet(nn.Module):
    """MONAI's DynUNet; the heads of deep supervision have weights and are not run."""

    def __init__(self, definition: Mapping[str, Any], affine: bool) -> None:
        super().__init__()
        dims, widths = definition["spatial_dims"], definition["filters"]
        kernels, strides = definition["kernel_size"], definition["strides"]
        inputs = [definition["in_channels"], *widths]
        blocks = [_Block(dims, *column, affine) for column in zip(inputs, widths, kernels, strides, strict=False)]
        self.input_block, *down, self.bottleneck = blocks
        self.downsamples = nn.ModuleList(down)
        steps = definition["upsample_kernel_size"]
        self.upsamples = nn.ModuleList(
            _Up(dims, widths[n + 1], widths[n], kernels[n + 1], steps[n], affine) for n in reversed(range(len(steps)))
        )
        classes = definition["out_channels"]
        self.output_block = _head(dims, widths[0], classes)
        if definition.get("deep_supervision"):
            count = definition.get("deep_supr_num", 1)
            self.deep_supervision_heads = nn.ModuleList(_head(dims, widths[n + 1], classes) for n in range(count))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, class, ...) of images (batch, channel, ...)."""
        features = [self.input_block(image)]
        for block in self.downsamples:
            features.append(block(features[-1]))
        found = self.bottleneck(features[-1])
        for up in self.upsamples:
            found = up(found, features.pop())
        scores: torch.Tensor = self.output_block(found)
        return scores


def _convolution(dims: int, inputs: int, outputs: int, kernel: Any, stride: Any) -> nn.Module:
    """Without bias, padded as MONAI does it."""
    kernels, strides = _each(kernel, dims), _each(stride, dims)
    padding = tuple((size - step + 1) // 2 for size, step in zip(kernels, strides, strict=True))
    return CONVOLUTIONS[dims](inputs, outputs, kernels, strides, padding, bias=False)


def _head(dims: int, inputs: int, classes: int) -> nn.Module:
    return _Named(_Named(CONVOLUTIONS[dims](inputs, classes, 1)))


def _each(value: Sequence[int] | int, dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else tuple(value)
