"""The detection networks: MONAI's RetinaNet (Lin et al. 2017, arXiv:1708.02002) on a small residual pyramid.

A network gives a mapping of two lists of maps, one of each level, finest first: ``classification`` with ``anchors *
classes`` channels and ``box_regression`` with ``anchors * 6``. Cell n of a level with stride s looks at the voxel
``n * s``. ``engine/detection`` makes boxes of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.networks.blocks.convolutions import Convolution
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from monai.networks.nets.resnet import ResNet, ResNetBlock

from .facts import DETECTION, NetworkFacts
from .registry import register_network

GROUP = 8
"""Channels are normalised over so many groups, because batches of windows are small; MONAI's heads want it too."""

FIRST_STRIDE = 2


def register() -> None:
    """Register it."""
    facts = NetworkFacts(
        classes={DETECTION: "num_classes"},
        spatial_dims=(3,),
        encoder=("feature_extractor.body",),
        heads=("classification_head.cls_logits",),
    )
    register_network("RetinaNetFPN", retinanet_fpn, facts, _strides)


def retinanet_fpn(
    in_channels: int = 1,
    num_classes: int = 1,
    num_anchors: int = 2,
    widths: Sequence[int] = (16, 32, 64),
    blocks: Sequence[int] = (1, 1, 1),
    pyramid_channels: int = 16,
    stem_channels: int = 0,
    spatial_dims: int = 3,
) -> RetinaNet:
    """A 3-D RetinaNet.

    Parameters
    ----------
    num_anchors:
        Boxes that begin in each cell of each level.
    widths, blocks:
        Channels and residual blocks of the levels, finest first; level n has a stride of ``2 ** (n + 1)`` voxels.
    pyramid_channels:
        Of the pyramid and the heads; a multiple of 8.
    stem_channels:
        Of a convolution in the image's own resolution, before the first level halves it; 0 for none. Objects of a few
        voxels need one.
    """
    pyramid = _Pyramid(spatial_dims, in_channels, stem_channels, list(widths), list(blocks), pyramid_channels)
    return RetinaNet(spatial_dims, num_classes, num_anchors, pyramid, size_divisible=FIRST_STRIDE ** len(widths))


class _Pyramid(torch.nn.Module):
    """A residual network and a feature pyramid on its levels.

    MONAI's own joint of the two needs torchvision, which nothing else here does.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        stem_channels: int,
        widths: list[int],
        blocks: list[int],
        out_channels: int,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not 1 <= len(widths) <= 4:
            raise ValueError(f"expected 1 to 4 widths and as many blocks, got {widths} and {blocks}")
        norm = ("group", {"num_groups": GROUP})
        more = 4 - len(widths)  # MONAI's network always has four layers; the ones that are not used are taken out
        body = ResNet(
            ResNetBlock,
            [*blocks, *[1] * more],
            [*widths, *widths[-1:] * more],
            spatial_dims=spatial_dims,
            n_input_channels=stem_channels or in_channels,
            conv1_t_size=3,
            conv1_t_stride=FIRST_STRIDE,
            no_max_pool=True,
            feed_forward=False,
            norm=norm,
        )
        stem = torch.nn.Sequential(body.conv1, body.bn1, body.act)
        if stem_channels:
            fine = Convolution(spatial_dims, in_channels, stem_channels, act="relu", norm=norm)
            stem.insert(0, fine)
        layers = [body.layer1, body.layer2, body.layer3, body.layer4][: len(widths)]
        self.body = torch.nn.ModuleList([torch.nn.Sequential(stem, layers[0]), *layers[1:]])
        self.pyramid = FeaturePyramidNetwork(spatial_dims, widths, out_channels)
        self.out_channels = out_channels

    def forward(self, image: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Features of each level, finest first."""
        features: OrderedDict[str, torch.Tensor] = OrderedDict()
        for number, layer in enumerate(self.body):
            image = layer(image)
            features[str(number)] = image
        found: Mapping[str, torch.Tensor] = self.pyramid(features)
        return found


def _strides(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(facts, stride=(FIRST_STRIDE ** len(arguments["widths"]),))
