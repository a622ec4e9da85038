"""The classification networks: MONAI's, and the baselines that it has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monai.networks import nets
from monai.utils import ensure_tuple_rep

from .baselines import VGG, AlexNet, Inception
from .facts import CLASSIFICATION, NetworkFacts
from .registry import register_network

_CLASSIFIER = NetworkFacts(classes={CLASSIFICATION: "out_channels"}, stride=(32,), divisible=False)
"""Any window from the total stride on: smaller ones fail, or their deepest level sees little but padding."""

_NUMBERED = replace(_CLASSIFIER, classes={CLASSIFICATION: "num_classes"})
_BASELINE = replace(_CLASSIFIER, encoder=("features",), heads=("head",), last_features="features")
_LAYERS = ("layer1", "layer2", "layer3", "layer4")


def register() -> None:
    """Register them."""
    resnet = replace(
        _NUMBERED,
        channels="n_input_channels",
        encoder=("conv1", "bn1", *_LAYERS),
        heads=("fc",),
        last_features=_LAYERS[-1],
    )
    for builder in (nets.resnet10, nets.resnet18, nets.resnet34, nets.resnet50):
        register_network(builder.__name__, builder, resnet, _resnet)
    register_network(
        "DenseNet121",
        nets.DenseNet121,
        replace(_CLASSIFIER, encoder=("features",), heads=("class_layers",), last_features="class_layers.relu"),
        _densenet,
    )
    register_network(
        "SEResNet50",
        nets.SEResNet50,
        replace(_NUMBERED, encoder=("layer0", *_LAYERS), heads=("last_linear",), last_features=_LAYERS[-1]),
    )
    register_network(
        "EfficientNetBN",
        nets.EfficientNetBN,
        replace(
            _NUMBERED,
            encoder=("_conv_stem", "_bn0", "_blocks", "_conv_head", "_bn1"),
            heads=("_fc",),
            last_features="_bn1",
        ),
    )
    register_network("AlexNet", AlexNet, _BASELINE)
    register_network("VGG", VGG, _BASELINE, _vgg)
    register_network("Inception", Inception, _BASELINE, _inception)


def _resnet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """Three of the four layers halve, and so does the pooling before them."""
    first = ensure_tuple_rep(arguments.get("conv1_t_stride", 1), arguments["spatial_dims"])
    later = 8 if arguments.get("no_max_pool") else 16
    return replace(facts, stride=tuple(stride * later for stride in first))


def _densenet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(facts, stride=(2 ** (len(arguments["block_config"]) + 1),))


def _vgg(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(facts, stride=(2 ** len(arguments["widths"]),))


def _inception(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(facts, stride=(2 ** (len(arguments["widths"]) + 2),))
