"""Networks that segment and classify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.layers.factories import Pool
from monai.networks.nets import SegResNet

from .facts import CLASSIFICATION, SEGMENTATION


class SegResNetMultiTask(SegResNet):
    """MONAI's SegResNet with a second head: its encoder's last features, averaged over space, classify.

    Parameters
    ----------
    num_classes:
        Classes of the classification.
    **segresnet
        Arguments of SegResNet; ``out_channels`` is the number of classes of the segmentation.
    """

    def __init__(
        self,
        num_classes: int,
        spatial_dims: int = 3,
        init_filters: int = 8,
        blocks_down: tuple[int, ...] = (1, 2, 2, 4),
        **segresnet: Any,
    ) -> None:
        super().__init__(spatial_dims=spatial_dims, init_filters=init_filters, blocks_down=blocks_down, **segresnet)
        features = init_filters * 2 ** (len(blocks_down) - 1)
        self.classifier = torch.nn.Sequential(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1), torch.nn.Flatten(), torch.nn.Linear(features, num_classes)
        )

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]  # two outputs, not one
        """Scores by task of images (batch, channel, ...): (batch, class, ...) and (batch, class)."""
        deepest, levels = self.encode(x)
        return {
            SEGMENTATION: self.decode(deepest, levels[::-1]),
            CLASSIFICATION: self.classifier(deepest),
        }


class VGGMultiTask(torch.nn.Module):
    """A U-Net with VGG's levels that outlines something, and classifies it by what is inside and by its size.

    A classifier that averages its features over the whole window knows little of how large the thing in it is. This one
    also takes the last features within the outline, and the logarithm of its size in voxels.

    Parameters
    ----------
    out_channels:
        Classes of the outline: background first.
    num_classes:
        Classes of the classification.
    widths:
        Channels of each level, finest first; each is half as fine as the one before.
    convolutions:
        In each level, on both ways.
    dropout:
        Of the features that classify.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        out_channels: int = 2,
        widths: Sequence[int] = (16, 32, 64, 128),
        convolutions: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()

        def level(channels: int, width: int) -> torch.nn.Sequential:
            inputs = [channels, *[width] * (convolutions - 1)]
            return torch.nn.Sequential(*(Convolution(spatial_dims, n, width, act="relu", norm="batch") for n in inputs))

        self.pool = Pool[Pool.MAX, spatial_dims](2)
        self.upsample = torch.nn.Upsample(scale_factor=2)
        self.encoder = torch.nn.ModuleList(map(level, (in_channels, *widths[:-1]), widths))
        upwards = zip(widths[-2::-1], widths[:0:-1], strict=True)
        self.decoder = torch.nn.ModuleList([level(fine + coarse, fine) for fine, coarse in upwards])
        self.outline = Convolution(spatial_dims, widths[0], out_channels, kernel_size=1, conv_only=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = torch.nn.Linear(widths[-1] + widths[0] + 1, num_classes)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Scores by task of images (batch, channel, ...): (batch, class, ...) and (batch, class)."""
        features, levels = image, []
        for number, encode in enumerate(self.encoder):
            features = encode(self.pool(features) if number else features)
            levels.append(features)
        deepest = levels.pop()
        for decode in self.decoder:
            features = decode(torch.cat([levels.pop(), self.upsample(features)], dim=1))
        outline = self.outline(features)
        inside, space = 1 - outline.softmax(1)[:, :1], list(range(2, image.ndim))
        size = inside.sum(space)
        within = (features * inside).sum(space) / (size + 1)
        described = self.dropout(torch.cat([deepest.mean(space), within], dim=1))
        return {
            SEGMENTATION: outline,
            CLASSIFICATION: self.classifier(torch.cat([described, size.log1p()], dim=1)),
        }
