"""One network that segments and classifies."""

from __future__ import annotations

from typing import Any

import torch
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
