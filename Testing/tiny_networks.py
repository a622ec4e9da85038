"""A small definition of every registered network, for tests that are to hold for all of them."""

from __future__ import annotations

from typing import Any

from SlicerCNNSegLib.engine.networks import facts_of

_UNET = {"channels": [4, 8, 12], "strides": [2, 2]}
_NNUNET = {"features_per_stage": [4, 8, 8], "kernel_sizes": [3, 3, 3], "strides": [1, 2, 2]}
_SEGRESNET = {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "AlexNet": {"widths": [4, 8, 8, 8, 8]},
    "AttentionUnet": _UNET,
    "BasicUNet": {"features": [4] * 6},
    "DenseNet121": {"init_features": 8, "growth_rate": 4},
    "DynUNet": {
        "kernel_size": [3] * 4,
        "strides": [1, 2, 2, 2],
        "upsample_kernel_size": [2] * 3,
        "filters": [4, 8, 8, 8],
        "deep_supervision": True,
        "deep_supr_num": 2,
    },
    "EfficientNetBN": {"model_name": "efficientnet-b0", "pretrained": False},
    "Inception": {"widths": [16, 16, 24], "blocks": [1, 1, 1]},
    "MeshNet": {"width": 4, "dilations": [1, 2, 1]},
    "PlainConvUNet": {**_NNUNET, "n_conv_per_stage": [1, 1, 2], "n_conv_per_stage_decoder": [1, 1]},
    "PlainUNet": {"widths": [4, 8, 12]},
    "ResidualEncoderUNet": {**_NNUNET, "n_blocks_per_stage": [1, 1, 2], "n_conv_per_stage_decoder": [1, 1]},
    "SEResNet50": {"layers": [1, 1, 1, 1]},
    "SegResNet": _SEGRESNET,
    "SegResNetMultiTask": _SEGRESNET,
    "SwinUNETR": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
    "UNETR": {"img_size": 32, "feature_size": 4, "hidden_size": 24, "mlp_dim": 32, "num_heads": 2},
    "UNet": {**_UNET, "num_res_units": 1},
    "VGG": {"widths": [4, 8, 8, 8, 8]},
    "VGGMultiTask": {"widths": [8, 8, 8]},
    "VNet": {},
    **{f"resnet{depth}": {"widen_factor": 0.125} for depth in (10, 18, 34, 50)},
}
"""Arguments by name, without those that ``definition`` fills in."""


def definition(name: str, dims: int, classes: int = 3, channels: int = 1, **more: object) -> dict[str, Any]:
    """The small definition of a network; ``classes`` for each of its tasks."""
    plain = {"_target_": name, **ARGUMENTS[name], "spatial_dims": dims, **more}
    facts = facts_of(plain)
    return plain | {facts.channels: channels} | dict.fromkeys(facts.classes.values(), classes)
