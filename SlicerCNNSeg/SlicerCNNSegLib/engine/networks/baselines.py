"""Well-known classifiers that MONAI and torch don't have in 2-D and 3-D, as baselines.

They follow their papers in depth and widths. As in later networks, each convolution is followed by batch
normalisation, and the last features are averaged over space and go through one linear layer: the
papers' wide linear layers would have hundreds of millions of weights in 3-D.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Pool


class Classifier(torch.nn.Module):
    """Features, averaged over space, dropped out at random in training, and one linear layer.

    Parameters
    ----------
    features:
        From (batch, channel, ...) to (batch, width, ...).
    """

    def __init__(
        self, spatial_dims: int, features: Sequence[torch.nn.Module], width: int, out_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(*features)
        self.head = torch.nn.Sequential(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1),
            torch.nn.Flatten(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(width, out_channels),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, class) of images (batch, channel, ...)."""
        return self.head(self.features(image))


class AlexNet(Classifier):
    """After Krizhevsky et al., ImageNet classification with deep convolutional neural networks, NeurIPS 2012.

    Parameters
    ----------
    widths:
        Channels of the five convolutions, by default those of Krizhevsky's one-column version (2014).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (64, 192, 384, 256, 256),
        dropout: float = 0.5,
    ) -> None:
        layers: list[torch.nn.Module] = []
        for level, (width, kernel) in enumerate(zip(widths, (11, 5, 3, 3, 3), strict=True)):
            layers.append(_convolution(spatial_dims, in_channels, width, kernel, stride=4 if level == 0 else 1))
            if level in (0, 1, 4):
                layers.append(_halving(spatial_dims, kernel=3))
            in_channels = width
        super().__init__(spatial_dims, layers, in_channels, out_channels, dropout)


class VGG(Classifier):
    """After Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015.

    Parameters
    ----------
    widths:
        Channels of each level; after each the image is halved.
    convolutions:
        How many each level has; by default those of the paper's configuration A, (1, 1, 2, 2, 2).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        convolutions: Sequence[int] = (1, 1, 2, 2, 2),
        dropout: float = 0.5,
    ) -> None:
        layers: list[torch.nn.Module] = []
        for width, count in zip(widths, convolutions, strict=True):
            for _ in range(count):
                layers.append(_convolution(spatial_dims, in_channels, width, kernel=3))
                in_channels = width
            layers.append(_halving(spatial_dims, kernel=2))
        super().__init__(spatial_dims, layers, in_channels, out_channels, dropout)


class Inception(Classifier):
    """After Szegedy et al., Going deeper with convolutions, CVPR 2015 (GoogLeNet), without its side outputs.

    The branch of 5-wide kernels is made of two 3-wide ones, as in Szegedy et al., Rethinking the
    Inception architecture, CVPR 2016: in 3-D that is 2.3 times fewer weights.

    Parameters
    ----------
    widths:
        Channels of each level; by default about those of the paper.
    blocks:
        Inception blocks of each level; by default the paper's.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (480, 832, 1024),
        blocks: Sequence[int] = (2, 5, 2),
        dropout: float = 0.4,
    ) -> None:
        stem = max(widths[0] // 8, 1)
        layers: list[torch.nn.Module] = [
            _convolution(spatial_dims, in_channels, stem, kernel=7, stride=2),
            _halving(spatial_dims, kernel=3),
            _convolution(spatial_dims, stem, stem, kernel=1),
            _convolution(spatial_dims, stem, 3 * stem, kernel=3),
        ]
        in_channels = 3 * stem
        for width, count in zip(widths, blocks, strict=True):
            layers.append(_halving(spatial_dims, kernel=3))
            for _ in range(count):
                layers.append(InceptionBlock(spatial_dims, in_channels, width))
                in_channels = width
        super().__init__(spatial_dims, layers, in_channels, out_channels, dropout)


class InceptionBlock(torch.nn.Module):
    """Four branches side by side, of growing field of view; their channels together are ``width``."""

    def __init__(self, spatial_dims: int, in_channels: int, width: int) -> None:
        super().__init__()
        half, quarter, eighth = width // 2, width // 4, width // 8
        rest = width - half - quarter - eighth

        def convolution(channels: int, out: int, kernel: int) -> torch.nn.Module:
            return _convolution(spatial_dims, channels, out, kernel)

        self.branches = torch.nn.ModuleList(
            [
                convolution(in_channels, quarter, 1),
                torch.nn.Sequential(convolution(in_channels, quarter, 1), convolution(quarter, half, 3)),
                torch.nn.Sequential(
                    convolution(in_channels, eighth, 1),
                    convolution(eighth, eighth, 3),
                    convolution(eighth, eighth, 3),
                ),
                torch.nn.Sequential(
                    Pool[Pool.MAX, spatial_dims](kernel_size=3, stride=1, padding=1),
                    convolution(in_channels, rest, 1),
                ),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (batch, width, ...) of features (batch, channel, ...)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _convolution(dims: int, channels: int, width: int, kernel: int, stride: int = 1) -> torch.nn.Module:
    return Convolution(dims, channels, width, strides=stride, kernel_size=kernel, act="relu", norm="batch", bias=False)


def _halving(dims: int, kernel: int) -> torch.nn.Module:
    return Pool[Pool.MAX, dims](kernel_size=kernel, stride=2, padding=(kernel - 1) // 2)
