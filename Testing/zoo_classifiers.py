"""Classification bundles in the manner of the Model Zoo: the published networks and steps, random weights.

``monai_scores`` runs one with MONAI alone, up to the network's scores, and through its own postprocessing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from bundle_configs import SHARED, step, transforms
from monai.bundle import ConfigParser
from monai.networks import nets
from zoo_bundles import CHECKPOINT, HANDLERS, Style, metadata_of, write_image

from SlicerCNNSegLib.engine.configs import stand_ins

ENDOSCOPIC = Style(
    {
        **SHARED,
        "image_key": "image",
        "output_filename": "predictions.csv",
        "test_fp": "$open(@test_json,'r', encoding='utf8')",
        "network_def": {"_target_": "SEResNet50", "spatial_dims": 2, "in_channels": 3, "num_classes": 2},
        "preprocessing": transforms(
            step("LoadImaged", "@image_key", image_only=False),
            step("EnsureChannelFirstd", "@image_key", channel_dim=-1),
            step("Resized", "@image_key", spatial_size=[64, 64], mode="bilinear"),
            step("CastToTyped", "@image_key", dtype="$torch.float32"),
            step("NormalizeIntensityd", "@image_key", nonzero=True, channel_wise=True),
            step("EnsureTyped", "@image_key"),
        ),
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(
            step("AsDiscreted", ["pred"], argmax=True, to_onehot=2),
            step("SaveClassificationd", "pred", meta_keys="$@image_key + '_meta_dict'", output_dir="@output_dir",
                 filename="@output_filename"),
        ),
        "checkpointloader": CHECKPOINT,
        "initialize": ["$@checkpointloader(@evaluator) if @load_pretrain else None"],
    },
    ("R", "G", "B"),
    ("in body", "out body"),
    "regular",
    shape=(70, 54),
    spatial_shape=(256, 256),
)  # fmt: skip
BREAST = Style(
    {
        **{key: value for key, value in SHARED.items() if key != "imports"},
        "import": ["$import glob", "$import os", "$import torchvision"],
        "model_dir": "$@bundle_root + '/models'",
        "data": {"_target_": "scripts.createList.CreateImageLabelList", "filename": "./configs/sample_image_data.json"},
        "network_def": {
            "_target_": "TorchVisionFCModel",
            "model_name": "inception_v3",
            "num_classes": 4,
            "pool": None,
            "use_conv": False,
            "bias": True,
            "pretrained": True,
        },
        "preprocessing": transforms(
            step("LoadImaged"),
            step("EnsureChannelFirstd", channel_dim=2),
            step("ScaleIntensityd", minv=0.0, maxv=1.0),
            step("Resized", spatial_size=[299, 299]),
        ),
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(step("Activationsd", "pred", sigmoid=True)),
        **HANDLERS,
    },
    ("image", "", ""),
    ("A", "B", "C", "D"),
    "Mammogram",
    shape=(60, 80),
    spatial_shape=(299, 299),
)
TEMPLATE = Style(
    {
        **SHARED,
        "image": "$monai.utils.CommonKeys.IMAGE",
        "label": "$monai.utils.CommonKeys.LABEL",
        "pred": "$monai.utils.CommonKeys.PRED",
        "num_classes": 4,
        "network_def": {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": "@num_classes"},
        "transforms": [
            step("LoadImaged", "@image"), step("EnsureChannelFirstd", "@image"), step("ScaleIntensityd", "@image")
        ],
        "preprocessing": {"_target_": "Compose", "transforms": "$@transforms"},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(
            step("Activationsd", "@pred", softmax=True),
            step("AsDiscreted", ["@pred", "@label"], argmax=[True, False], to_onehot="@num_classes"),
            step("ToTensord", ["@pred", "@label"], device="@device"),
        ),
    },
    outputs=("background", "circle", "triangle", "rectangle"),
    modality="none",
    suffix=".yaml",
    shape=(64, 64),
    spatial_shape=(128, 128),
)  # fmt: skip
CLASSIFIERS = {"endoscopic": ENDOSCOPIC, "breast": BREAST, "template": TEMPLATE}


def write_classifier(folder: Path, style: Style) -> Path:
    """Write a bundle's folder, with weights that tell images apart."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    text = json.dumps(style.config, indent=4) if style.suffix == ".json" else yaml.safe_dump(style.config)
    (folder / "configs" / f"inference{style.suffix}").write_text(text, encoding="utf-8")
    metadata = metadata_of(style)
    count, (output, given) = len(style.outputs), (metadata["network_data_format"][k] for k in ("outputs", "inputs"))
    kind = {"type": "image", "format": "labels"} if style is BREAST else {"type": "probabilities", "format": "classes"}
    output["pred"] |= {**kind, "spatial_shape": [1, count]}
    if style is BREAST:
        given["image"]["channel_def"] = {"0": "image"}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n", encoding="utf-8")
    torch.manual_seed(0)
    images = [parser_and_image(folder, style, seed)[1] for seed in (0, 1)]
    network = told_apart(network_of(style), torch.stack(images))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def told_apart(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """The network with statistics of noise in its normalisations, and scores of up to 1 on either side for two images.

    Of fresh networks all scores are alike.
    """
    layers = list(network.modules())
    for layer in layers:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean of what it sees, which is one batch
    last = [layer for layer in layers if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        network.train()(torch.randn(4, *images.shape[1:]))
        scores = network.eval()(images)
        middle = scores.mean(0)
        last.bias.sub_(middle).div_((scores - middle).abs().max())
        last.weight.div_((scores - middle).abs().max())
    return network


def network_of(style: Style) -> torch.nn.Module:
    """The config's network; MONAI's TorchVisionFCModel needs torchvision, see ``test_stand_ins.py``."""
    nets.TorchVisionFCModel = stand_ins.TorchVisionFCModel
    definition = dict(style.config["network_def"])
    if definition["_target_"] == "TorchVisionFCModel":
        return stand_ins.TorchVisionFCModel(**{k: v for k, v in definition.items() if k != "_target_"})
    network: torch.nn.Module = ConfigParser(json.loads(json.dumps(style.config))).get_parsed_content("network_def")
    return network


def parser_and_image(folder: Path, style: Style, seed: int) -> tuple[ConfigParser, torch.Tensor, Path]:
    """MONAI's parser of the config, what its preprocessing makes of an image, and the image's file."""
    path = write_image(folder.parent / f"{folder.name}_{seed}.nii.gz", style, seed)
    config = {**style.config, "output_dir": str(folder.parent), "num_classes": len(style.outputs)}
    if "@label" in json.dumps(config):
        config["postprocessing"] = transforms(
            step("Activationsd", "pred", softmax=True), step("AsDiscreted", "pred", argmax=True, to_onehot=4)
        )
    parser = ConfigParser(json.loads(json.dumps(config).replace(', "image_only": false', "")))
    return parser, parser.get_parsed_content("preprocessing")({"image": str(path)})["image"].as_tensor(), path


def monai_scores(folder: Path, style: Style, seed: int) -> tuple[torch.Tensor, torch.Tensor, Path]:
    """The network's scores, what the bundle's postprocessing makes of them, and the image's file."""
    parser, image, path = parser_and_image(folder, style, seed)
    with torch.device("meta"):  # no time for weights that are replaced
        network = network_of(style).eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True), assign=True)
    with torch.no_grad():
        scores = network(image[None])[0]
    done: dict[str, Any] = {"pred": scores}
    for one in parser.get_parsed_content("postprocessing").transforms:
        done = done if type(one).__name__ == "SaveClassificationd" else one(done)
    return scores, torch.as_tensor(np.asarray(done["pred"])), path
