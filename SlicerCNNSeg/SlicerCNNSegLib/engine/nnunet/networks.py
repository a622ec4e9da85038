"""nnU-Net's descriptions of networks, as definitions of those that are registered here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ModelError

COUNTS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
"""The networks, and what each calls the layers of its encoder's stages."""

NORMS = {"InstanceNorm": "instance", "BatchNorm": "batch"}
ACTIVATIONS = {"LeakyReLU": "leakyrelu", "ReLU": "relu", "ELU": "elu"}
"""torch's layers by the names that MONAI has for them."""

BATCH_NORM_TRAINER = "nnUNetTrainerBN"
"""The one trainer that changes the network of the plans in a way that is known here."""

MOST_STAGES = 16
"""Of a network; each one after the first halves the image along some axis."""

MOST_LAYERS = 64
"""Of a stage; nnU-Net's own planners give at most 8."""

UNUSED = ("n_stages", "dropout_op", "dropout_op_kwargs", "deep_supervision")
"""Arguments that say nothing about a trained network's scores."""


def definition_of(settings: Mapping[str, Any], inputs: int, outputs: int, trainer: str) -> dict[str, Any]:
    """The definition of a configuration's network.

    Parameters
    ----------
    settings:
        The configuration, as in the plans; also of nnU-Net before 2.4, which wrote no ``architecture``.

    Raises
    ------
    ModelError
        The network, or a layer of it, is not known here; the message names it and those that are.
    """
    described = settings.get("architecture") or _before_2_4(settings)
    name, given = str(described["network_class_name"]).rpartition(".")[2], dict(described["arch_kwargs"])
    if name not in COUNTS:
        raise ModelError(f"nnU-Net's network {name!r} is not known here: expected {' or '.join(COUNTS)}.")
    dims = len(settings["patch_size"])
    stages = int(given["n_stages"])
    if not 1 <= stages <= MOST_STAGES:
        raise ModelError(f"Expected 1 to {MOST_STAGES} stages of nnU-Net's network, got {stages}.")
    norm, act = given.pop("norm_op", None), given.pop("nonlin", None)
    if trainer == BATCH_NORM_TRAINER:
        norm, given["norm_op_kwargs"] = f"BatchNorm{dims}d", {"eps": 1e-5, "affine": True}
    definition: dict[str, Any] = {
        "_target_": f"SlicerCNNSegLib.engine.networks.nnunet.{name}",
        "spatial_dims": dims,
        "in_channels": inputs,
        "out_channels": outputs,
        "norm": [_known("norm_op", str(norm).removesuffix(f"{dims}d"), NORMS), given.pop("norm_op_kwargs", None) or {}],
        "act": [_known("nonlin", act, ACTIVATIONS), given.pop("nonlin_kwargs", None) or {}],
        "conv_bias": bool(given.pop("conv_bias", False)),
    }
    _known("conv_op", given.pop("conv_op"), {f"Conv{dims}d": ""})
    for key in ("features_per_stage", "kernel_sizes", "strides", COUNTS[name]):
        definition[key] = _listed(given.pop(key), stages)
    definition["n_conv_per_stage_decoder"] = _listed(given.pop("n_conv_per_stage_decoder"), stages - 1)
    layers: list[Any] = definition[COUNTS[name]] + definition["n_conv_per_stage_decoder"]
    deepest = max(map(int, layers))
    if deepest > MOST_LAYERS:
        raise ModelError(f"Expected at most {MOST_LAYERS} layers in a stage of nnU-Net's network, got {deepest}.")
    others = sorted(key for key, value in given.items() if value and key not in UNUSED)
    if others:
        raise ModelError(f"nnU-Net's network {name} has arguments that are not known here: {', '.join(others)}.")
    return definition


def _known(what: str, named: object, table: Mapping[str, str]) -> str:
    name = str(named).rpartition(".")[2]
    if name not in table:
        raise ModelError(f"The layer {named!r} ({what}) of nnU-Net's network is not known here: {', '.join(table)}.")
    return table[name]


def _listed(value: Any, stages: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * stages


def _before_2_4(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What plans of nnU-Net before 2.4 say, in the later form."""
    name, encoder = str(settings["UNet_class_name"]), settings["n_conv_per_stage_encoder"]
    dims, stages = len(settings["patch_size"]), len(settings["n_conv_per_stage_encoder"])
    base, most = int(settings["UNet_base_num_features"]), int(settings["unet_max_num_features"])
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
            "conv_op": f"Conv{dims}d",
            "kernel_sizes": settings["conv_kernel_sizes"],
            "strides": settings["pool_op_kernel_sizes"],
            COUNTS.get(name, ""): encoder,
            "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": f"InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
    }
