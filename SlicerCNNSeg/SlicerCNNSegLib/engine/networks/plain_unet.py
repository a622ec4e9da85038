"""The U-Net as it was first published: maximum pooling, transposed convolutions, two convolutions on each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Conv, Pool

from .facts import NetworkFacts

FACTS = NetworkFacts(deepest=2, encoder=("down",), heads=("head",), widths="widths")


class PlainUNet(torch.nn.Module):
    """After Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.

    Convolutions are padded, as in most programs that have it. The layers stand in the order in which those usually
    define them (levels downwards, then upwards, each transposed convolution before its level's two), so that weights
    fit by order.

    Parameters
    ----------
    widths:
        Channels of each level, from the finest on; upwards the same.
    skip_first:
        Whether the finer level's features come before those from below where both are joined. Weights fit either way,
        and give nonsense in the wrong one.
    order:
        Of what comes behind each convolution: ``N`` normalisation, ``D`` dropout, ``A`` activation.
    act, norm, dropout, bias:
        As in MONAI's ``Convolution``; transposed convolutions and the last one always have a bias.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        skip_first: bool = True,
        order: str = "NDA",
        act: str | tuple = "relu",
        norm: str | tuple | None = "batch",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()

        def twice(before: int, width: int) -> torch.nn.Sequential:
            own: dict[str, Any] = {"adn_ordering": order, "act": act, "norm": norm, "dropout": dropout, "bias": bias}
            return torch.nn.Sequential(*(Convolution(spatial_dims, n, width, **own) for n in (before, width)))

        def enlarge(below: int, width: int) -> torch.nn.Module:
            return Conv[Conv.CONVTRANS, spatial_dims](below, width, kernel_size=2, stride=2)

        inputs = (in_channels, *widths)
        self.down = torch.nn.ModuleList(twice(n, width) for n, width in zip(inputs, widths, strict=False))
        self.pool = Pool[Pool.MAX, spatial_dims](2)
        upwards = reversed(list(pairwise(widths)))
        self.up = torch.nn.ModuleList(
            _Up(enlarge(below, width), twice(2 * width, width), skip_first) for width, below in upwards
        )
        self.head = Conv[Conv.CONV, spatial_dims](widths[0], out_channels, kernel_size=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, class, ...) of images (batch, channel, ...)."""
        levels: list[torch.Tensor] = []
        for level in self.down:
            image = level(self.pool(image) if levels else image)
            levels.append(image)
        image = levels.pop()
        for level in self.up:
            image = level(image, levels.pop())
        scores: torch.Tensor = self.head(image)
        return scores


class _Up(torch.nn.Module):
    """A level on the way up: the coarser features enlarged, joined with those from the way down."""

    def __init__(self, enlarge: torch.nn.Module, convolutions: torch.nn.Module, skip_first: bool) -> None:
        super().__init__()
        self.enlarge, self.convolutions, self._skip_first = enlarge, convolutions, skip_first

    def forward(self, below: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        joined = (skip, self.enlarge(below))
        found: torch.Tensor = self.convolutions(torch.cat(joined if self._skip_first else joined[::-1], 1))
        return found


def refined(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """The facts of one definition: each level after the first halves the image."""
    return replace(facts, stride=(2 ** (len(arguments["widths"]) - 1),))
