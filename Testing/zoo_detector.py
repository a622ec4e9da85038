"""A detection bundle in the manner of the Model Zoo's ``lung_nodule_ct_detection``: a small network, random weights.

Its config is the published one (0.6.8) but for sizes: network, window, spacing, and how many boxes are kept.
``monai_boxes`` runs it with MONAI alone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from bundle_configs import LUNG_NODULE, step, transforms
from monai.apps.detection.networks import retinanet_network
from monai.bundle import ConfigParser
from zoo_bundles import CHECKPOINT, Style, metadata_of

from SlicerCNNSegLib.engine.configs import stand_ins
from SlicerCNNSegLib.engine.volume import Volume

RAN = "own code ran"
"""A file that the bundle's own code would write."""

CHANNELS = 16
"""Of the pyramid, which a published detector has 256 of: too many for a test."""

MOST_BOXES = 12
KEPT = f"score_thresh=0.02,topk_candidates_per_level=1000,nms_thresh=0.22,detections_per_img={MOST_BOXES}"
WINDOWS = "overlap=0.25,sw_batch_size=1,mode='constant',device='cpu'"
WINDOW = [32, 32, 24]
SPACING_MM = [8.0, 8.0, 9.0]
META = {"meta_key_postfix": "meta_dict"}
CONFIG: dict[str, Any] = {
    **LUNG_NODULE,
    "infer_patch_size": WINDOW,
    "force_sliding_window": False,
    "detector_ops": [
        "$@detector.set_target_keys(box_key='box', label_key='label')",
        f"$@detector.set_box_selector_parameters({KEPT})",
        f"$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,{WINDOWS})",
    ],
    "preprocessing": transforms(
        step("LoadImaged", _disabled_="@whether_raw_luna16", **META),
        step("LoadImaged", reader="itkreader", affine_lps_to_ras=True, _disabled_="@whether_resampled_luna16", **META),
        step("EnsureChannelFirstd", **META),
        step("Orientationd", axcodes="RAS"),
        step("Spacingd", pixdim=SPACING_MM, _disabled_="@whether_resampled_luna16"),
        step("ScaleIntensityRanged", a_min=-1024.0, a_max=300.0, b_min=0.0, b_max=1.0, clip=True),
        step("EnsureTyped"),
    ),
    "inferer": {
        "_target_": "scripts.detection_inferer.RetinaNetInferer",
        "detector": "@detector",
        "force_sliding_window": "@force_sliding_window",
    },
    "postprocessing": transforms(
        step("ClipBoxToImaged", ..., box_keys="box", label_keys="label", box_ref_image_keys="image", remove_empty=True),
        step("AffineBoxToWorldCoordinated", ..., box_keys="box", box_ref_image_keys="image",
             image_meta_key_postfix="meta_dict", affine_lps_to_ras=True),
        step("ConvertBoxModed", ..., box_keys="box", src_mode="xyzxyz", dst_mode="cccwhd"),
        step("DeleteItemsd", ["image"]),
    ),
    "handlers": [CHECKPOINT, {"_target_": "scripts.detection_saver.DetectionSaver", "output_dir": "@output_dir"}],
    "evaluator": {"_target_": "scripts.evaluator.DetectionEvaluator", "_requires_": "@detector_ops"},
}  # fmt: skip
for transform in CONFIG["postprocessing"]["transforms"][:3]:
    del transform["keys"]  # boxes have keys of their own


def write_zoo_detector(folder: Path, **changes: Any) -> Path:
    """Write the bundle's folder; ``changes`` replace what stands in its config."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    config = {**CONFIG, **changes}
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=4), encoding="utf-8")
    metadata = metadata_of(Style({}, outputs=("",)))
    metadata["task"] = "CT lung nodule detection"
    metadata["network_data_format"]["outputs"]["pred"] = {
        "type": "object", "format": "dict", "dtype": "float16", "num_channels": 1, "spatial_shape": ["n", "n", "n"],
        "value_range": [-10000, 10000],
    }  # fmt: skip
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n", encoding="utf-8")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "detection_inferer.py").write_text(f"open({str(folder / RAN)!r}, 'w')\n", encoding="utf-8")
    torch.manual_seed(0)
    network = parser_of(config).get_parsed_content("network_def")
    with torch.no_grad():  # as it begins, each score is .01, and below what is kept
        for tensor in network.classification_head.cls_logits.parameters():
            tensor.normal_(0, 0.02)
        network.regression_head.bbox_reg.weight.normal_(0, 0.02)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def parser_of(config: dict[str, Any]) -> ConfigParser:
    """MONAI's parser of the config, for images as they are, read by a reader that is installed.

    MONAI's own function for the pyramid needs torchvision; ``test_stand_ins.py`` holds ours against it where that is.
    """
    stand_ins.PYRAMID_CHANNELS = CHANNELS
    retinanet_network.resnet_fpn_feature_extractor = stand_ins.resnet_fpn_feature_extractor
    text = json.dumps({**config, "whether_raw_luna16": True})
    for gone in ('"reader": "itkreader", "affine_lps_to_ras": true, ', ', "meta_key_postfix": "meta_dict"'):
        text = text.replace(gone, "")  # what is not installed here, and what MONAI has dropped
    return ConfigParser(config=json.loads(text))


def monai_boxes(folder: Path, volume: Volume, path: Path, *, windows: bool) -> tuple[np.ndarray, np.ndarray]:
    """What MONAI finds in an image: centre and size in LPS mm, shape (n, 6), and scores, the best first."""
    array = np.ascontiguousarray(volume.array[0].transpose(2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(array, volume.ijk_to_ras), path)
    config = json.loads((folder / "configs" / "inference.json").read_text(encoding="utf-8"))
    parser = parser_of(config)
    detector = parser.get_parsed_content("detector")
    parser.get_parsed_content("detector_ops")
    detector.network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    image = parser.get_parsed_content("preprocessing")({"image": str(path)})["image"]
    assert (math.prod(image.shape[1:]) >= math.prod(config["infer_patch_size"])) == windows
    with torch.no_grad():
        (found,) = detector.eval()([image], use_inferer=windows)
    kept = parser.get_parsed_content("postprocessing")({**found, "image": image})
    order = torch.argsort(kept["label_scores"], descending=True, stable=True)
    return kept["box"][order].numpy(), kept["label_scores"][order].numpy()
