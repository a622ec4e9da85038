"""The segmentation networks: MONAI's, two that also classify, MeshNet, the first U-Net, and nnU-Net's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai.networks import nets
from monai.utils import ensure_tuple_rep

from . import meshnet, nnunet, plain_unet
from .facts import CLASSIFICATION, SEGMENTATION, NetworkFacts
from .multitask import SegResNetMultiTask, VGGMultiTask
from .registry import Builder, Refinement, register_network

BOTTLENECK = 2
"""``deepest`` of networks with instance or batch normalisation there: one voxel alone has no spread."""

_SEGRESNET = NetworkFacts(encoder=("convInit", "down_layers"), heads=("conv_final",), widths="init_filters")


def register() -> None:
    """Register them."""
    for builder, facts, refine in _monai():
        register_network(builder.__name__, builder, facts, refine)
    register_network(meshnet.MeshNet.__name__, meshnet.MeshNet, meshnet.FACTS)
    register_network(plain_unet.PlainUNet.__name__, plain_unet.PlainUNet, plain_unet.FACTS, plain_unet.refined)
    for own in (nnunet.PlainConvUNet, nnunet.ResidualEncoderUNet):
        register_network(own.__name__, own, nnunet.FACTS, nnunet.refined)


def _monai() -> tuple[tuple[Builder, NetworkFacts, Refinement | None], ...]:
    """MONAI's networks and two made of its parts, what is known of them, and what their arguments add to that."""
    return (
        (
            nets.AttentionUnet,
            NetworkFacts(deepest=BOTTLENECK, heads=("model.2",), widths="channels"),
            _attention_unet,
        ),
        (
            nets.BasicUNet,  # pads odd sides itself
            NetworkFacts(
                stride=(16,),
                divisible=False,
                deepest=BOTTLENECK,
                encoder=("conv_0", "down_1", "down_2", "down_3", "down_4"),
                heads=("final_conv",),
                widths="features",
            ),
            None,
        ),
        (
            nets.DynUNet,
            NetworkFacts(
                deepest=BOTTLENECK,
                encoder=("input_block", "downsamples", "bottleneck"),
                heads=("output_block", "deep_supervision_heads"),
                widths="filters",
            ),
            _dynunet,
        ),
        (nets.SegResNet, _SEGRESNET, _segresnet),
        (
            SegResNetMultiTask,
            replace(
                _SEGRESNET,
                classes={SEGMENTATION: "out_channels", CLASSIFICATION: "num_classes"},
                heads=("conv_final", "classifier"),
                widths="",
            ),
            _multitask,
        ),
        (
            VGGMultiTask,
            NetworkFacts(
                classes={SEGMENTATION: "out_channels", CLASSIFICATION: "num_classes"},
                deepest=BOTTLENECK,
                encoder=("encoder",),
                heads=("outline", "classifier"),
            ),
            _vgg_multitask,
        ),
        (
            nets.SwinUNETR,
            NetworkFacts(stride=(32,), deepest=BOTTLENECK, encoder=("swinViT",), heads=("out",)),
            None,
        ),
        (nets.UNet, NetworkFacts(deepest=BOTTLENECK, heads=("model.2",), widths="channels"), _unet),
        (nets.UNETR, NetworkFacts(stride=(16,), encoder=("vit",), heads=("out",)), _unetr),
        (
            nets.VNet,
            NetworkFacts(
                stride=(16,),
                deepest=BOTTLENECK,
                encoder=("in_tr", "down_tr32", "down_tr64", "down_tr128", "down_tr256"),
                heads=("out_tr",),
            ),
            None,
        ),
    )


def _product(strides: Sequence[int | Sequence[int]], dims: int) -> tuple[int, ...]:
    """Per axis the product of strides, each one number or one per axis."""
    columns = zip(*(ensure_tuple_rep(stride, dims) for stride in strides), strict=True)
    return tuple(math.prod(column) for column in columns)


def _unet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """A U-Net of MONAI holds each level inside of the one above: ``(down, skip(level below), up)``.

    The level below is ``1.submodule``; the last one is a down block alone.
    """
    depth = len(arguments["channels"]) - 1
    below = [f"model{'.1.submodule' * level}" for level in range(depth + 1)]
    return replace(
        facts,
        stride=_product(arguments["strides"][:depth], arguments["spatial_dims"]),
        encoder=(*(f"{level}.0" for level in below[:-1]), below[-1]),
    )


def _attention_unet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """As ``_unet``, but ``model`` is ``(first block, level, head)`` and a level holds ``submodule``.

    That is ``(down, level below)``, in the last level a down block alone.
    """
    depth = len(arguments["channels"]) - 1
    below = [f"model.1{'.submodule.1' * level}.submodule" for level in range(depth)]
    return replace(
        facts,
        stride=_product(arguments["strides"][:depth], arguments["spatial_dims"]),
        encoder=("model.0", *(f"{level}.0" for level in below[:-1]), below[-1]),
    )


def _dynunet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(
        facts,
        stride=_product(arguments["strides"], arguments["spatial_dims"]),
        levels=1 + int(arguments["deep_supr_num"]) if arguments["deep_supervision"] else 1,
    )


def _segresnet(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    return replace(facts, stride=(2 ** (len(arguments["blocks_down"]) - 1),))


def _multitask(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    deepest = f"down_layers.{len(arguments['blocks_down']) - 1}"
    return replace(_segresnet(facts, arguments), last_features=deepest)


def _vgg_multitask(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    halvings = len(arguments["widths"]) - 1
    return replace(facts, stride=(2**halvings,), last_features=f"decoder.{halvings - 1}")


def _unetr(facts: NetworkFacts, arguments: Mapping[str, Any]) -> NetworkFacts:
    """The embedding of positions has weights for one size of window."""
    return replace(facts, size=ensure_tuple_rep(arguments["img_size"], arguments["spatial_dims"]))
