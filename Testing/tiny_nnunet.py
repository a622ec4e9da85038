"""Tiny models in nnU-Net's form, with weights that depend on their names alone, and images for them.

Only numpy, SimpleITK and torch are needed, so that a Python with nnunetv2 and without CNNSeg makes the same ones:
``Testing/engine/nnunet/make_expected.py`` stores what nnU-Net makes of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

CT_FACTS = {"mean": 40.0, "std": 90.0, "percentile_00_5": -150.0, "percentile_99_5": 200.0, "min": -900, "max": 900}
LPS = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
TURNED = (0.0, -1, 0, 0, 0, 1, -1, 0, 0)
"""Axes along P, I, L: no two programs agree on such an image by chance."""


def plans(
    configuration: str,
    *,
    network: str = "unet.PlainConvUNet",
    patch: tuple[int, ...] = (16, 12, 12),
    spacing: tuple[float, ...] = (1.5, 1.0, 1.0),
    schemes: tuple[str, ...] = ("ZScoreNormalization",),
    masked: tuple[bool, ...] = (False,),
    strides: tuple[Any, ...] = (1, 2),
    transpose: tuple[int, int, int] = (0, 1, 2),
    reader: str = "SimpleITKIO",
    resampling: str = "resample_data_or_seg_to_shape",
) -> dict[str, Any]:
    """``plans.json`` with one configuration."""
    dims = len(patch)
    spline = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    kwargs = spline if "seg" in resampling else {"is_seg": False, "force_separate_z": None}
    scores = {**kwargs, "order": 1} if "seg" in resampling else kwargs
    per_stage = "n_conv_per_stage" if network.endswith("PlainConvUNet") else "n_blocks_per_stage"
    settings = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": list(schemes),
        "use_mask_for_norm": list(masked),
        "resampling_fn_data": resampling,
        "resampling_fn_data_kwargs": kwargs,
        "resampling_fn_seg": resampling,
        "resampling_fn_seg_kwargs": {**kwargs, "is_seg": True, **({"order": 1} if "seg" in resampling else {})},
        "resampling_fn_probabilities": resampling,
        "resampling_fn_probabilities_kwargs": scores,
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.{network}",
            "arch_kwargs": {
                "n_stages": len(strides),
                "features_per_stage": [4, 6, 8][: len(strides)],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": [[3] * dims for _ in strides],
                "strides": [[one] * dims if isinstance(one, int) else list(one) for one in strides],
                per_stage: [2] * len(strides),
                "n_conv_per_stage_decoder": [1] * (len(strides) - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "dataset_name": "Dataset999_Tiny",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": reader,
        "transpose_forward": list(transpose),
        "transpose_backward": [int(axis) for axis in np.argsort(transpose)],
        "configurations": {configuration: settings},
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(n): dict(CT_FACTS) for n in range(len(schemes))},
    }


CLASSES: dict[str, Any] = {"background": 0, "liver": 1, "left kidney": 2}
REGIONS: dict[str, Any] = {"background": 0, "whole tumor": [1, 2, 3], "core": [2, 3], "enhancing": 3}

CASES: dict[str, dict[str, Any]] = {
    "ct": {"plans": plans("3d_fullres", schemes=("CTNormalization",)), "folds": 2, "channels": ["CT"]},
    "slices": {
        "plans": plans(
            "2d",
            patch=(14, 10),
            spacing=(1.0, 1.25),
            schemes=("ZScoreNormalization", "RescaleTo01Normalization"),
            masked=(True, False),
            transpose=(1, 0, 2),
            strides=(1, 2, 1),
        ),
        "channels": ["T1", "T2"],
        "spacing": (1.5, 1.25, 1.25),
    },
    "residual": {
        "plans": plans(
            "3d_lowres",
            network="unet.ResidualEncoderUNet",
            patch=(8, 12, 12),
            spacing=(4.0, 1.25, 1.25),
            schemes=("NoNormalization",),
            strides=(1, (1, 2, 2), 2),
        ),
        "labels": REGIONS,
        "regions_class_order": [1, 2, 3],
        "spacing": (5.0, 1.0, 1.0),
    },
    "torch": {
        "plans": plans(
            "3d_fullres",
            patch=(8, 16, 12),
            spacing=(5.0, 1.5, 1.0),
            resampling="resample_torch_fornnunet",
            reader="NibabelIOWithReorient",
        ),
        "spacing": (1.0, 4.0, 1.25),
        "direction": TURNED,
    },
}
"""What differs between them; ``dataset`` and ``image`` fill in the rest."""

FIRST, SECOND = "3d_lowres", "3d_cascade_fullres"
_COARSE = plans(FIRST, patch=(8, 8, 8), spacing=(2.5, 2.0, 1.5), masked=(True,), transpose=(1, 0, 2))
_FINE = plans(SECOND, patch=(12, 16, 12), spacing=(1.25, 1.0, 1.0), masked=(True,), transpose=(1, 0, 2))
_STAGES = {
    FIRST: {**_COARSE["configurations"][FIRST], "next_stage": SECOND},
    SECOND: {**_FINE["configurations"][SECOND], "previous_stage": FIRST},
}
CASCADE: dict[str, dict[str, Any]] = {
    stage: {"plans": {**_FINE, "configurations": {stage: _STAGES[stage], **_STAGES}}, "folds": folds}
    for stage, folds in ((FIRST, 2), (SECOND, 1))
}
"""The two stages of a cascade, as ``CASES`` has models of one stage."""


def dataset(case: Mapping[str, Any]) -> dict[str, Any]:
    """``dataset.json``."""
    channels = case.get("channels", ["MRI"])
    more = {"regions_class_order": case["regions_class_order"]} if "regions_class_order" in case else {}
    return {
        "name": "Tiny",
        "licence": "CC0-1.0",
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": deepcopy(case.get("labels", CLASSES)),
        "file_ending": ".nii.gz",
        **more,
    }


def heads(case: Mapping[str, Any]) -> int:
    """Scores that the network gives."""
    return 3  # three classes with background, or three regions


def images(case: Mapping[str, Any]) -> list[sitk.Image]:
    """One image per channel: waves and noise, zero around and in a hole, of 15 x 20 x 18 voxels (k, j, i)."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in (15, 20, 18)), indexing="ij")
    inside = (np.abs(k) < 0.9) & (np.abs(j) < 0.85) & (i > -0.7)
    inside &= k**2 + (j - 0.2) ** 2 + i**2 > 0.09
    found = []
    for number in range(len(case.get("channels", ["MRI"]))):
        noise = np.random.default_rng(number).normal(size=k.shape)
        values = 100 * np.sin(4 * i + number) * np.cos(5 * j) + 60 * np.sin(3 * k * j) + 20 * noise
        picture = sitk.GetImageFromArray(np.where(inside, values, 0).round(2).astype(np.float32))
        picture.SetSpacing([float(mm) for mm in reversed(case.get("spacing", (1.25, 1.5, 0.75)))])
        picture.SetDirection(case.get("direction", LPS))
        picture.SetOrigin((-12.0, 7.0, 30.0))
        found.append(picture)
    return found


def filled(name: str, shape: tuple[int, ...], fold: int) -> torch.Tensor:
    """The weights of a name: a second name of one tensor (``all_modules``, ``decoder.encoder``) gives the same ones."""
    plain = name.replace("decoder.encoder.", "encoder.")
    for number, layer in enumerate(("conv", "norm")):
        plain = plain.replace(f"all_modules.{number}.", f"{layer}.")
    generator = np.random.default_rng(zlib.crc32(f"{plain} {fold}".encode()))
    noise = generator.normal(size=shape)
    if len(shape) > 1:
        noise *= (2 / np.prod(shape[1:])) ** 0.5
    elif plain.endswith(("norm.weight", "running_var")):
        noise = 1 + 0.2 * np.abs(noise)
    else:
        noise *= 0.3
    return torch.from_numpy(np.asarray(noise, np.float32))


def write_trained(
    folder: Path,
    case: Mapping[str, Any],
    shapes: Callable[[Mapping[str, Any]], Mapping[str, tuple[int, ...]]],
    kind: str = "final",
) -> Path:
    """Write a trained model's folder.

    Parameters
    ----------
    case:
        One of ``CASES``.
    shapes:
        Gives the shapes of the network's tensors, by nnU-Net's names.
    """
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(case["plans"]), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset(case)), encoding="utf-8")
    (configuration, settings), *_ = case["plans"]["configurations"].items()
    for fold in range(case.get("folds", 1)):
        weights = {
            name: torch.tensor(1) if name.endswith("num_batches_tracked") else filled(name, tuple(shape), fold)
            for name, shape in shapes(case).items()
        }
        checkpoint = {
            "network_weights": weights,
            "optimizer_state": {"state": {}, "param_groups": [{"lr": np.float64(0.01)}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float32(0.5)], "ema_fg_dice": [np.float64(0.25)]},
            "_best_ema": np.float32(0.5),
            "current_epoch": 3,
            "init_args": {"plans": case["plans"], "configuration": configuration, "device": torch.device("cpu")},
            "trainer_name": case.get("trainer", "nnUNetTrainer"),
            "inference_allowed_mirroring_axes": tuple(range(len(settings["patch_size"]))),
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / f"checkpoint_{kind}.pth")
    return folder


def cascade_folder(root: Path, stage: str) -> Path:
    """Where nnU-Net puts a stage of the cascade."""
    return root / "Dataset999_Tiny" / f"nnUNetTrainer__nnUNetPlans__{stage}"
