"""Bundle folders in the style of MONAI's Model Zoo: small networks, random weights, and nothing of CNNSeg's own.

The metadata and configs are written as the Zoo writes them, and nothing in them is made for CNNSeg.
``monai_result`` runs one with MONAI alone: ``ConfigParser``, the bundle's own file loading and its own saving.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
import yaml
from bundle_configs import BRATS, SHARED, SPLEEN, step, transforms
from monai.bundle import ConfigParser

from SlicerCNNSegLib.engine.volume import Volume

INVERT = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False, "to_tensor": True}
SAVE = step("SaveImaged", "pred", output_dir="@output_dir", output_ext=".nii.gz", separate_folder=False)
SOFTMAX = step("Activationsd", "pred", softmax=True)
ARGMAX = step("AsDiscreted", "pred", argmax=True)
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 2, "overlap": 0.5}
CHECKPOINT = {
    "_target_": "CheckpointLoader",
    "load_path": "$@bundle_root + '/models/model.pt'",
    "load_dict": {"model": "@network"},
}
LOADED = (step("LoadImaged"), step("EnsureChannelFirstd"))
HANDLERS: dict[str, Any] = {"handlers": [CHECKPOINT, {"_target_": "StatsHandler", "iteration_log": False}]}


@dataclass(frozen=True)
class Style:
    """A published bundle's manner: its inference config, and what its metadata say of channels.

    Parameters
    ----------
    config:
        The inference config.
    inputs, outputs:
        Names of the channels, in order.
    modality, spatial_shape:
        As the metadata give them.
    suffix:
        Of the config's file.
    shape:
        Of the images that it is tried on.
    seed:
        Weights that give several classes, of those that are tried first.
    compared:
        The config that MONAI runs, where it cannot run the other one here, or gives what is no labels of the metadata.
    """

    config: dict[str, Any]
    inputs: tuple[str, ...] = ("image",)
    outputs: tuple[str, ...] = ("background", "spleen")
    modality: str = "CT"
    suffix: str = ".json"
    shape: tuple[int, ...] = (40, 36, 24)
    spatial_shape: tuple[int, ...] = (96, 96, 96)
    seed: int = 0
    compared: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> dict[str, Any]:
        """The config that MONAI runs."""
        return self.compared or self.config


SPLEEN_STYLE = Style(
    {
        **SPLEEN,
        **HANDLERS,
        "inferer": WINDOWS,
        "postprocessing": transforms(SOFTMAX, step("Invertd", "pred", **INVERT), ARGMAX, SAVE),
    },
    seed=2,
)
_SWIN: dict[str, Any] = {
    **SHARED,
    **HANDLERS,
    "network_def": {
        "_target_": "SwinUNETR",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 14,
        "feature_size": 12,
        "depths": [1, 1, 1, 1],
        "use_checkpoint": False,
    },
    "preprocessing": transforms(
        step("LoadImaged", reader="ITKReader"),
        step("EnsureChannelFirstd"),
        step("Orientationd", axcodes="RAS"),
        step("Spacingd", pixdim=[2.0, 2.0, 2.5], mode="bilinear"),
        step("ScaleIntensityRanged", a_min=-175, a_max=250, b_min=0.0, b_max=1.0, clip=True),
        step("EnsureTyped"),
    ),
    "inferer": {**WINDOWS, "roi_size": [64, 64, 64]},
    "postprocessing": transforms(SOFTMAX, step("Invertd", "pred", **INVERT), ARGMAX, SAVE),
}
SWIN_STYLE = Style(
    _SWIN,
    outputs=("background", "spleen", "Right Kidney", "Left Kideny", *(f"organ {n}" for n in range(4, 14))),
    # the same with a reader that is installed
    compared=json.loads(json.dumps(_SWIN).replace("ITKReader", "NibabelReader")),
)
_BRATS_STEPS = (
    step("Activationsd", "pred", sigmoid=True),
    step("Invertd", "pred", **INVERT),
    step("AsDiscreted", "pred", threshold=0.5),
)
_MERGE = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"
_BRATS: dict[str, Any] = {
    **BRATS,
    **HANDLERS,
    "preprocessing": transforms(*LOADED, step("NormalizeIntensityd", nonzero=True, channel_wise=True)),
    "inferer": {**WINDOWS, "roi_size": [48, 48, 32], "sw_batch_size": 1},
    "postprocessing": transforms(*_BRATS_STEPS, step("Lambdad", "pred", func=_MERGE), SAVE),
}
BRATS_STYLE = Style(
    _BRATS,
    ("T1c", "T1", "T2", "FLAIR"),
    ("Tumor core", "Whole tumor", "Enhancing tumor"),
    "MR",
    compared={**_BRATS, "postprocessing": transforms(*_BRATS_STEPS, SAVE)},
)
WHOLE_BODY_STYLE = Style(
    {
        **SHARED,
        "imports": ["$import glob", "$import numpy", "$import os"],
        "displayable_configs": {"highres": True, "sw_overlap": 0.25, "sw_batch_size": 1},
        "image_key": "image",
        "pixdim": "$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
        "modelname": "$'model.pt' if @displayable_configs#highres else 'model_lowres.pt'",
        "network_def": {
            "_target_": "SegResNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 5,
            "init_filters": 8,
            "blocks_down": [1, 2],
            "blocks_up": [1],
            "dropout_prob": 0.2,
        },
        "preprocessing": transforms(
            step("LoadImaged", "@image_key"),
            step("EnsureTyped", "@image_key"),
            step("EnsureChannelFirstd", "@image_key"),
            step("Orientationd", "@image_key", axcodes="RAS"),
            step("Spacingd", "@image_key", pixdim="@pixdim", mode="bilinear"),
            step("NormalizeIntensityd", "@image_key", nonzero=True),
            step("ScaleIntensityd", "@image_key", minv=-1.0, maxv=1.0),
        ),
        "inferer": {
            **WINDOWS,
            "sw_batch_size": "@displayable_configs#sw_batch_size",
            "overlap": "@displayable_configs#sw_overlap",
            "padding_mode": "replicate",
            "mode": "gaussian",
            "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        },
        "postprocessing": transforms(
            SOFTMAX,
            ARGMAX,
            step("Invertd", "pred", **{**INVERT, "orig_keys": "@image_key", "nearest_interp": True}),
            SAVE,
        ),
        "checkpointloader": {**CHECKPOINT, "load_path": "$@bundle_root + '/models/' + @modelname"},
    },
    outputs=("background", "spleen", "kidney_right", "kidney_left", "gallbladder"),
)
_VENTRICULAR = {
    **SHARED,
    **HANDLERS,
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 4,
        "channels": [4, 8, 16],
        "strides": [2, 2],
        "num_res_units": 2,
    },
    "preprocessing": transforms(
        step("LoadImaged"), step("EnsureChannelFirstd"), step("ScaleIntensityd"), step("EnsureTyped", device="@device")
    ),
    "inferer": {"_target_": "SliceInferer", "roi_size": [64, 64], "spatial_dim": 2},
    "postprocessing": transforms(
        SOFTMAX, step("Invertd", "pred", meta_key_postfix="meta_dict", **INVERT), ARGMAX, SAVE
    ),
}
_HEART = ("background", "lv_pool", "myocardium", "rv_pool")
VENTRICULAR_STYLE = Style(_VENTRICULAR, outputs=_HEART, modality="MR", spatial_shape=(256, 256), shape=(50, 44, 6))
ENDOSCOPIC_STYLE = Style(
    {
        **_VENTRICULAR,
        "network_def": {**_VENTRICULAR["network_def"], "in_channels": 3, "out_channels": 2},  # type: ignore[dict-item]
        "preprocessing": transforms(
            step("LoadImaged"),
            step("EnsureChannelFirstd", channel_dim=-1),
            step("Resized", ["image"], spatial_size=[64, 48], mode=["bilinear"]),
            step("ScaleIntensityd", ["image"]),
        ),
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(
            step("Invertd", "pred", meta_key_postfix="meta_dict", **INVERT),
            step("AsDiscreted", ["pred"], argmax=True, to_onehot=2),
            step("Lambdad", ["pred"], func="$lambda x : x[1:]"),
            SAVE,
        ),
    },
    ("R", "G", "B"),
    ("background", "tools"),
    "regular",
    shape=(90, 70),
    spatial_shape=(736, 480),
)
PROSTATE_STYLE = Style(
    {
        **SPLEEN_STYLE.config,
        "imports": ["$import pandas as pd", "$import os"],
        "datalist": "$list(@dataset_dir + pd.read_csv(@dataset_dir + 'test.csv').t2)",
        "network_def": {**SPLEEN["network_def"], "out_channels": 3, "act": "prelu", "dropout": 0.15},
        "preprocessing": transforms(
            *LOADED,
            step("Orientationd", axcodes="RAS"),
            step("Spacingd", pixdim=[1.5, 1.5, 1.5], mode="bilinear"),
            step("ScaleIntensityd", minv=0, maxv=1),
            step("NormalizeIntensityd"),
            step("EnsureTyped"),
        ),
        "postprocessing": transforms(
            ARGMAX,
            step("KeepLargestConnectedComponentd", "pred", applied_labels=[1, 2]),
            step("Invertd", "pred", meta_key_postfix="meta_dict", **{**INVERT, "nearest_interp": True}),
            SAVE,
        ),
    },
    outputs=("background", "central gland", "peripheral zone"),
    modality="MR",
)
TEMPLATE_STYLE = Style(
    {
        **SHARED,
        "image": "$monai.utils.CommonKeys.IMAGE",
        "pred": "$monai.utils.CommonKeys.PRED",
        "num_classes": 4,
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "network_def": {**SPLEEN["network_def"], "out_channels": "@num_classes"},
        "transforms": [
            step("LoadImaged", "@image", image_only=True),
            step("EnsureChannelFirstd", "@image"),
            step("ScaleIntensityd", "@image"),
        ],
        "preprocessing": {"_target_": "Compose", "transforms": "$@transforms"},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(
            step("Activationsd", "@pred", softmax=True), step("AsDiscreted", "@pred", argmax=True), SAVE
        ),
        "handlers": [
            {**CHECKPOINT, "_disabled_": "$not os.path.exists(@ckpt_path)", "load_path": "@ckpt_path"},
            {"_target_": "StatsHandler", "name": None, "output_transform": "$lambda x: None"},
        ],
    },
    outputs=("background", "category 1", "category 1", "category 1"),
    modality="MR",
    suffix=".yaml",
)
PEDIATRIC_STYLE = Style(
    {
        **SHARED,
        "imports": ["$import glob", "$import os", "$import scripts.monai_utils"],
        "labels": {"background": 0, "liver": 1, "spleen": 2, "pancreas": 3},
        "spatial_size": [32, 32, 32],
        "network_def": {
            "_target_": "monai.networks.nets.DynUNet",
            "spatial_dims": "$len(@spatial_size)",
            "in_channels": 1,
            "out_channels": "$len(@labels)",
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, [2, 2, 1]],
            "upsample_kernel_size": [2, [2, 2, 1]],
            "filters": [4, 8, 16],
            "norm_name": "instance",
            "deep_supervision": False,
            "res_block": True,
        },
        "preprocessing": transforms(
            *LOADED,
            step("Orientationd", axcodes="RAS"),
            step("Spacingd", ["image"], pixdim=[1.5, 1.5, 3.0], mode=["bilinear"]),
            step("ScaleIntensityRanged", a_min=-250, a_max=400, b_min=0, b_max=1, clip=True),
            step("CropForegroundd", ["image"], source_key="image", mode=["minimum"]),
            step("EnsureTyped"),
            step("CastToTyped", dtype="$torch.float32"),
        ),
        "inferer": {**WINDOWS, "roi_size": "@spatial_size", "overlap": 0.75},
        "postprocessing": transforms(SOFTMAX, step("Invertd", "pred", **INVERT), ARGMAX, SAVE),
        "handlers": [{**CHECKPOINT, "load_path": "$@bundle_root + '/models/dynunet_FT.pt'"}],
    },
    outputs=("background", "liver", "spleen", "pancreas"),
    suffix=".yaml",
)
STYLES: dict[str, Style] = {
    "spleen": SPLEEN_STYLE,
    "swin_unetr": SWIN_STYLE,
    "brats": BRATS_STYLE,
    "whole_body": WHOLE_BODY_STYLE,
    "ventricular": VENTRICULAR_STYLE,
    "endoscopic": ENDOSCOPIC_STYLE,
    "prostate": PROSTATE_STYLE,
    "template": TEMPLATE_STYLE,
    "pediatric": PEDIATRIC_STYLE,
}


def write_bundle(folder: Path, style: Style, weights: str = "") -> Path:
    """Write a bundle's folder, its weights as a plain ``state_dict`` in a ``.pt`` file."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    path = folder / "configs" / f"inference{style.suffix}"
    text = json.dumps(style.config, indent=4) if style.suffix == ".json" else yaml.safe_dump(style.config)
    path.write_text(text, encoding="utf-8")
    metadata = metadata_of(style)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n", encoding="utf-8")
    torch.manual_seed(style.seed)
    network = ConfigParser(config=json.loads(json.dumps(style.config))).get_parsed_content("network_def")
    weights = weights or ("dynunet_FT.pt" if "dynunet_FT" in text else "model.pt")
    torch.save(network.state_dict(), folder / "models" / weights)
    return folder


def metadata_of(style: Style) -> dict[str, Any]:
    """Metadata as the Zoo has them."""

    def data(names: Sequence[str], **more: Any) -> dict[str, Any]:
        channels = {str(number): name for number, name in enumerate(names)}
        return {"type": "image", "num_channels": len(names), "spatial_shape": list(style.spatial_shape),
                "dtype": "float32", "value_range": [0, 1], "channel_def": channels, **more}  # fmt: skip

    return {
        "schema": "https://example.org/meta_schema_20220324.json",
        "version": "0.1.0",
        "changelog": {"0.1.0": "complete the model package"},
        "monai_version": "1.4.0",
        "task": "Segmentation in the manner of the Model Zoo",
        "description": "Random weights, for tests",
        "data_source": "none",
        "eval_metrics": {"mean_dice": 0.5},
        "intended_use": "This is an example, not to be used for diagnostic purposes",
        "network_data_format": {
            "inputs": {"image": data(style.inputs, format="magnitude", modality=style.modality)},
            "outputs": {"pred": data(style.outputs, format="segmentation")},
        },
    }


def write_image(path: Path, style: Style, seed: int = 0) -> Path:
    """A NIfTI file with smooth blobs on an oblique, anisotropic grid; several channels are its last axis."""
    rng = np.random.default_rng(seed)
    shape = (*style.shape, len(style.inputs))
    coarse = torch.from_numpy(rng.normal(40, 160, (1, len(style.inputs), *(6,) * len(style.shape))).astype(np.float32))
    mode = "trilinear" if len(style.shape) == 3 else "bilinear"
    smooth = torch.nn.functional.interpolate(coarse, style.shape, mode=mode, align_corners=False)[0]
    array = np.moveaxis(smooth.numpy(), 0, -1) + rng.normal(0, 10, shape).astype(np.float32)
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.2, 1.3, 2.4]) if len(style.shape) == 3 else np.diag([1.0, 1.0, 1.0])
    affine[:3, 3] = (12.0, -31.0, 55.0)
    array = array[..., 0] if len(style.inputs) == 1 else array
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), affine), path)
    return path


def volume_of(path: Path, flat: bool = False) -> Volume:
    """The file as it stands: nothing of MONAI's reading, nor of CNNSeg's."""
    image = nibabel.load(path)
    array = np.asarray(image.dataobj, np.float32)
    array = array[:, :, None] if flat else array
    array = array[None] if array.ndim == 3 else np.moveaxis(array, -1, 0)
    return Volume(np.ascontiguousarray(array.transpose(0, 3, 2, 1)), image.affine)


def monai_result(folder: Path, style: Style, image: Path, output: Path) -> np.ndarray:
    """What MONAI itself saves for an image, shape (i, j, k) or with channels last."""
    config = json.loads(json.dumps(style.reference))
    parser = ConfigParser(config=config)
    parser["bundle_root"], parser["output_dir"] = str(folder), str(output)
    network = parser.get_parsed_content("network_def")
    (weights,) = (folder / "models").glob("*.pt")
    network.load_state_dict(torch.load(weights, weights_only=True))
    data = parser.get_parsed_content("preprocessing")({"image": str(image)})
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())
    data["pred"] = data["pred"][0]
    parser.get_parsed_content("postprocessing")(data)
    (saved,) = output.glob("*.nii.gz")
    return np.asarray(nibabel.load(saved).dataobj)
