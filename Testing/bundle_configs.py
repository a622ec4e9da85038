"""Inference configs in the style of published bundles of MONAI's Model Zoo, with small networks."""

from __future__ import annotations

from typing import Any

DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"


def transforms(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": list(steps)}


def step(name: str, keys: Any = "image", **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": keys, **arguments}


SHARED: dict[str, Any] = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "output_dir": "$@bundle_root + '/eval'",
    "device": DEVICE,
    "network": "$@network_def.to(@device)",
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "dataset_dir": "/workspace/data",
    "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
    "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network", "inferer": "@inferer"},
    "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@evaluator.run()"],
}

SPLEEN: dict[str, Any] = {
    **SHARED,
    "output_dtype": "$numpy.float32",
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8, 16],
        "strides": [2, 2],
        "num_res_units": 2,
        "norm": "batch",
    },
    "preprocessing": transforms(
        step("LoadImaged"),
        step("EnsureChannelFirstd"),
        step("Orientationd", axcodes="RAS"),
        step("Spacingd", pixdim=[1.5, 1.5, 2.0], mode="bilinear"),
        step("ScaleIntensityRanged", a_min=-57, a_max=164, b_min=0, b_max=1, clip=True),
        step("EnsureTyped"),
    ),
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [96, 96, 96], "sw_batch_size": 4, "overlap": 0.5},
    "postprocessing": transforms(
        step("Activationsd", "pred", softmax=True),
        step("Invertd", "pred", transform="@preprocessing", orig_keys="image", nearest_interp=False, to_tensor=True),
        step("AsDiscreted", "pred", argmax=True),
        step("SaveImaged", "pred", output_dir="@output_dir", output_dtype="@output_dtype"),
    ),
}

BRATS: dict[str, Any] = {
    **SHARED,
    "network_def": {
        "_target_": "SegResNet",
        "blocks_down": [1, 2],
        "blocks_up": [1],
        "init_filters": 8,
        "in_channels": 4,
        "out_channels": 3,
        "dropout_prob": 0.2,
    },
    "preprocessing": transforms(step("LoadImaged"), step("NormalizeIntensityd", nonzero=True, channel_wise=True)),
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [240, 240, 160], "sw_batch_size": 1, "overlap": 0.5},
    "postprocessing": transforms(
        step("Activationsd", "pred", sigmoid=True),
        step("AsDiscreted", "pred", threshold=0.5),
        step("Lambdad", "pred", func="$lambda x: torch.where(x[[2]] > 0, 4, 0)"),
    ),
}

SWIN: dict[str, Any] = {
    **SHARED,
    "network_def": {
        "_target_": "monai.networks.nets.SwinUNETR",
        "in_channels": 1,
        "out_channels": 14,
        "feature_size": 12,
        "depths": [1, 1, 1, 1],
        "use_checkpoint": False,
    },
    "preprocessing": transforms(
        step("LoadImaged", reader="NibabelReader"),
        step("EnsureChannelFirstd"),
        step("ScaleIntensityRanged", a_min=-175, a_max=250, b_min=0.0, b_max=1.0, clip=True),
    ),
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "$[96] * 3", "sw_batch_size": 4, "overlap": 0.5},
    "postprocessing": transforms(step("AsDiscreted", "pred", argmax=True)),
}

LUNG_NODULE: dict[str, Any] = {
    **SHARED,
    "whether_raw_luna16": False,
    "whether_resampled_luna16": "$(not @whether_raw_luna16)",
    "infer_patch_size": [512, 512, 192],
    "anchor_generator": {
        "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
        "feature_map_scales": [1, 2, 4],
        "base_anchor_shapes": [[6, 8, 4], [8, 6, 5], [10, 10, 6]],
    },
    "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=3,n_input_channels=1,conv1_t_stride=[2,2,1],"
    "conv1_t_size=[7,7,7],widen_factor=0.125)",
    "feature_extractor": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor("
    "@backbone,3,False,[1,2],None)",
    "network_def": {
        "_target_": "RetinaNet",
        "spatial_dims": 3,
        "num_classes": 1,
        "num_anchors": 3,
        "feature_extractor": "@feature_extractor",
        "size_divisible": [16, 16, 8],
    },
    "detector": {
        "_target_": "RetinaNetDetector",
        "network": "@network",
        "anchor_generator": "@anchor_generator",
        "debug": False,
    },
    "detector_ops": [
        "$@detector.set_target_keys(box_key='box', label_key='label')",
        "$@detector.set_box_selector_parameters(score_thresh=0.02,nms_thresh=0.22,detections_per_img=300)",
        "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,device='cpu')",
    ],
    "preprocessing": transforms(
        step("LoadImaged", _disabled_="@whether_raw_luna16"),
        step("LoadImaged", reader="itkreader", affine_lps_to_ras=True, _disabled_="@whether_resampled_luna16"),
        step("EnsureChannelFirstd"),
        step("Spacingd", pixdim=[0.703125, 0.703125, 1.25], _disabled_="@whether_resampled_luna16"),
        step("ScaleIntensityRanged", a_min=-1024.0, a_max=300.0, b_min=0.0, b_max=1.0, clip=True),
    ),
    "inferer": {"_target_": "scripts.detection_inferer.RetinaNetInferer", "detector": "@detector"},
    "postprocessing": transforms(
        {
            "_target_": "ClipBoxToImaged",
            "box_keys": "box",
            "label_keys": "label",
            "box_ref_image_keys": "image",
            "remove_empty": True,
        },
        {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz", "dst_mode": "cccwhd"},
        {"_target_": "DeleteItemsd", "keys": ["image"]},
    ),
}

WHOLE_BODY: dict[str, Any] = {
    **SPLEEN,
    "imports": ["$import glob", "$import numpy", "$import os"],
    "displayable_configs": {"highres": True, "sw_overlap": 0.25, "sw_batch_size": 1},
    "image_key": "image",
    "pixdim": "$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
    "modelname": "$'model.pt' if @displayable_configs#highres else 'model_lowres.pt'",
    "load_path": "$@bundle_root + '/models/' + @modelname",
    "preprocessing": transforms(
        step("LoadImaged", "@image_key"),
        step("EnsureTyped", "@image_key"),
        step("Spacingd", "@image_key", pixdim="@pixdim", mode="bilinear"),
        step("NormalizeIntensityd", "@image_key", nonzero=True),
        step("ScaleIntensityd", "@image_key", minv=-1.0, maxv=1.0),
    ),
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [96, 96, 96],
        "sw_batch_size": "@displayable_configs#sw_batch_size",
        "overlap": "@displayable_configs::sw_overlap",
        "padding_mode": "replicate",
        "mode": "gaussian",
        "device": DEVICE,
    },
}

PEDIATRIC_YAML = """---
imports:
- "$import glob"
- "$import scripts.monai_utils"
input_channels: 1
bundle_root: "."
spatial_size:
- 96
- 96
- 96
spatial_dims: "$len(@spatial_size)"
labels:
  background: 0
  liver: 1
device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
network_def:
  _target_: monai.networks.nets.DynUNet
  spatial_dims: "@spatial_dims"
  in_channels: "@input_channels"
  out_channels: "$len(@labels)"
  kernel_size: [3, 3, 3]
  strides:
  - 1
  - 2
  -
    - 2
    - 2
    - 1
  upsample_kernel_size:
  - 2
  - [2, 2, 1]
  filters: [4, 8, 16]
  norm_name: "instance"
  res_block: true
network: "$@network_def.to(@device)"
image_key: image
preprocessing:
  _target_: Compose
  transforms:
  - _target_: LoadImaged
    keys: "@image_key"
    reader: NibabelReader
  - _target_: CropForegroundd
    keys:
    - "@image_key"
    source_key: "@image_key"
    mode:
    - "minimum"
  - _target_: CastToTyped
    keys: "@image_key"
    dtype: "$torch.float32"
inferer:
  _target_: SlidingWindowInferer
  roi_size: "@spatial_size"
  sw_batch_size: 4
  overlap: 0.75
"""
