"""MeshNet: dilated convolutions at full resolution, without pooling and skip connections."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution

from .facts import NetworkFacts

FACTS = NetworkFacts(divisible=False, deepest=2, encoder=("blocks",), heads=("head",), widths="width")
"""Any window of at least two voxels: batch normalisation needs more than one."""


class MeshNet(torch.nn.Module):
    """After Fedorov et al., End-to-end learning of brain tissue segmentation from imperfect labeling, IJCNN 2017.

    All convolutions are padded with zeros by their dilation, so that scores lie on the input's grid. Near the border of
    a window less is seen than inside: windows as large as those of the training give what the network was trained for.

    Parameters
    ----------
    width:
        Channels of each block, in the paper 21 or 71.
    dilations:
        One for each block, those of the paper by default; a convolution of one voxel follows.
    order:
        Of what comes behind each convolution: ``N`` normalisation, ``D`` dropout, ``A`` activation.
    act, norm, dropout, bias:
        As in MONAI's ``Convolution``.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        width: int = 21,
        dilations: Sequence[int] = (1, 1, 1, 2, 4, 8, 1),
        kernel_size: int = 3,
        order: str = "NAD",
        act: str | tuple = "relu",
        norm: str | tuple | None = "batch",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        inputs = [in_channels, *[width] * (len(dilations) - 1)]
        self.blocks = torch.nn.Sequential(
            *(
                Convolution(
                    spatial_dims, before, width, kernel_size=kernel_size, dilation=dilation,
                    adn_ordering=order, act=act, norm=norm, dropout=dropout, bias=bias,
                )
                for before, dilation in zip(inputs, dilations, strict=True)
            )
        )  # fmt: skip
        self.head = Convolution(spatial_dims, width, out_channels, kernel_size=1, conv_only=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, class, ...) of images (batch, channel, ...)."""
        scores: torch.Tensor = self.head(self.blocks(image))
        return scores
