"""What MONAI builds with torchvision, built without: the same layers under the same names (heavy)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import ResNet

from ..networks.inception import LAST_FEATURES, InceptionV3

PYRAMID_CHANNELS = 256
"""Of each level, as in MONAI."""


class _Body(torch.nn.ModuleDict):
    """The layers of a network up to the last one whose output is wanted."""

    def __init__(self, network: torch.nn.Module, wanted: dict[str, str]) -> None:
        layers = OrderedDict(network.named_children())
        last = max(list(layers).index(name) for name in wanted)
        super().__init__(OrderedDict(list(layers.items())[: last + 1]))
        self._wanted = wanted

    def forward(self, image: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        features: OrderedDict[str, torch.Tensor] = OrderedDict()
        for name, layer in self.items():
            image = layer(image)
            if name in self._wanted:
                features[self._wanted[name]] = image
        return features


class PyramidOnResNet(torch.nn.Module):
    """A residual network and a feature pyramid on some of its levels, with a coarser one on top.

    The layers, their order and their names are those of MONAI's ``BackboneWithFPN`` (``body``, ``fpn``), so that
    weights of that fit.
    """

    def __init__(self, backbone: ResNet, spatial_dims: int, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or not set(levels) <= {1, 2, 3, 4}:
            raise ValueError(f"expected levels from 1 to 4, got {levels}")
        first = backbone.in_planes // 8
        self.body = _Body(backbone, {f"layer{level}": str(number) for number, level in enumerate(levels)})
        self.fpn = FeaturePyramidNetwork(
            spatial_dims,
            [first * 2 ** (level - 1) for level in levels],
            PYRAMID_CHANNELS,
            extra_blocks=LastLevelMaxPool(spatial_dims),
        )
        self.out_channels = PYRAMID_CHANNELS

    def forward(self, image: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """Features of each level, finest first."""
        features: OrderedDict[str, torch.Tensor] = self.fpn(self.body(image))
        return features


def resnet_fpn_feature_extractor(
    backbone: ResNet,
    spatial_dims: int,
    pretrained_backbone: bool = False,
    returned_layers: Sequence[int] = (1, 2, 3),
    trainable_backbone_layers: int | None = None,
) -> PyramidOnResNet:
    """MONAI's function of that name; which layers are trainable makes no difference to a run.

    Raises
    ------
    ValueError
        A level is not from 1 to 4, or the backbone is no residual network of MONAI's.
    """
    if not isinstance(backbone, ResNet):
        raise ValueError(f"expected a residual network of MONAI's, got a {type(backbone).__name__}")
    return PyramidOnResNet(backbone, spatial_dims, list(returned_layers))


class TorchVisionFCModel(torch.nn.Module):
    """MONAI's network of that name with torchvision's Inception v3, which is the one that is built without torchvision.

    ``pretrained`` fetches nothing: a bundle's own weights fill the network. It still tells, as in torchvision, that the
    input is normalised as for other networks.

    Raises
    ------
    ValueError
        Another network of torchvision's is asked for, or another last layer.
    """

    def __init__(
        self,
        model_name: str = "resnet18",
        num_classes: int = 1,
        dim: int = 2,
        in_channels: int | None = None,
        use_conv: bool = False,
        pool: object = ("avg", {"kernel_size": 7, "stride": 1}),
        bias: bool = True,
        pretrained: bool = False,
        aux_logits: bool = True,
    ) -> None:
        super().__init__()
        known = (model_name, dim, in_channels or LAST_FEATURES, use_conv, pool)
        if known != ("inception_v3", 2, LAST_FEATURES, False, None):
            raise ValueError(
                f"only inception_v3 with pool null and without use_conv is built here, got {model_name} with pool "
                f"{pool!r:.60}; with torchvision installed, MONAI itself builds others for a bundle that is trusted"
            )
        self.features = InceptionV3(renormalise=pretrained, auxiliary=aux_logits)
        self.fc = torch.nn.Linear(LAST_FEATURES, num_classes, bias=bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores ``(batch, class)`` of images ``(batch, 3, x, y)``."""
        scores: torch.Tensor = self.fc(self.features(image))
        return scores
