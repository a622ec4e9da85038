"""From a finished run to a MONAI Bundle: configs and weights.

The bundle is complete for plain MONAI too (``python -m monai.bundle run --config_file
configs/inference.json --dataset_dir ...``); ``card.py`` adds the model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from SlicerCNNSegLib.engine.eight_bits import SCALE
from SlicerCNNSegLib.engine.networks import CLASSIFICATION, DETECTION
from SlicerCNNSegLib.engine.weights import save_weights

from ..planning.fingerprint import measure_extent
from ..recipe import Recipe
from ..run_folder import FoldFolder, write_json
from ..training.checkpoint import load_checkpoint
from ..transfer.start import trained_network

WEIGHTS = "models/model.safetensors"
HALF, INT8 = "float16", "int8"
WEIGHTS_TYPES = ("float32", HALF, "bfloat16", INT8)
"""What weights may be stored as; torch calls them the same."""

MONAI_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)


def export_bundle(run: FoldFolder, bundle: Path, weights: str = HALF) -> Recipe:
    """Write the best weights of a run and its configuration as a bundle; the run's recipe.

    Parameters
    ----------
    weights:
        What they are stored as, one of ``WEIGHTS_TYPES``.

    Raises
    ------
    FileReadError
        The run's data has gone.
    """
    recipe = Recipe.read(run.recipe)
    save_weights(trained_network(recipe, load_checkpoint(run.best)), bundle / WEIGHTS, getattr(torch, weights))
    if recipe.task == CLASSIFICATION:
        inference, about = classifying_config(recipe), class_metadata(recipe)
    elif recipe.task == DETECTION:
        inference, about = detecting_config(recipe), detector_metadata(recipe)
    else:
        own = {"extent_mm": measure_extent(run.cases("training")), "weights": weights}
        inference, about = inference_config(recipe, weights), metadata_config(recipe, own)
    write_json(bundle / "configs" / "inference.json", inference)
    write_json(bundle / "configs" / "metadata.json", about)
    return recipe


def metadata_config(recipe: Recipe, own: Mapping[str, Any]) -> dict[str, Any]:
    """``configs/metadata.json``: MONAI's keys, and ``cnnseg`` for what MONAI has no key for, ``own`` among it."""
    names = {str(label["value"]): label["name"] for label in recipe.model["labels"]}
    output = {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(names) + 1,
        "spatial_shape": list(recipe.patch_size),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {"0": "background", **names},
    }
    return common_metadata(recipe, output, own)


def class_metadata(recipe: Recipe) -> dict[str, Any]:
    """``configs/metadata.json`` of a classifier."""
    output = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(recipe.class_names),
        "spatial_shape": [1],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(recipe.class_names)},
    }
    own = {"classes": [dict(one) for one in recipe.model["classes"]], "multi_label": recipe.multi_label}
    return common_metadata(recipe, output, own)


def detector_metadata(recipe: Recipe) -> dict[str, Any]:
    """``configs/metadata.json`` of a detector."""
    output = {
        "type": "object",
        "format": "box",
        "num_channels": 1,
        "spatial_shape": list(recipe.patch_size),
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {"0": recipe.model["labels"][0]["name"]},
    }
    return common_metadata(recipe, output, {})


def common_metadata(recipe: Recipe, output: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What the metadata of all tasks have; ``output`` describes the network's, ``own`` goes into ``cnnseg``."""
    model = recipe.model
    channels = model["channels"]
    return {
        "schema": MONAI_SCHEMA,
        "version": model["version"],
        "changelog": {model["version"]: "first release"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch").partition("+")[0],
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {
            "nibabel": metadata.version("nibabel"),
            "safetensors": metadata.version("safetensors"),
        },
        "name": model["title"],
        "task": model["description"],
        "description": model["description"],
        "authors": "CNNSeg contributors",
        "copyright": f"Weights: {model['licence']}",
        "data_source": model["data_source"],
        "data_type": "nifti",
        "intended_use": model["intended_use"],
        "references": list(model["references"]),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": channels[0]["modality"],
                    "num_channels": len(channels),
                    "spatial_shape": list(recipe.patch_size),
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(index): channel["name"] for index, channel in enumerate(channels)},
                }
            },
            "outputs": {"pred": dict(output)},
        },
        "cnnseg": {
            **{key: model[key] for key in ("id", "title", "task", "channels", "labels", "licence")},
            **own,
        },
    }


def classifying_config(recipe: Recipe) -> dict[str, Any]:
    """``configs/inference.json`` of a classifier, as far as CNNSeg reads it."""
    return {
        "network_def": dict(recipe.network),
        "preprocessing": {"_target_": "Compose", "transforms": list(recipe.preprocessing)},
        "inferer": {"_target_": "SimpleInferer"},
        "cnnseg": {"slices": recipe.framing.slices, **_averaging(recipe)},
    }


def detecting_config(recipe: Recipe) -> dict[str, Any]:
    """``configs/inference.json`` of a detector, as far as CNNSeg reads it."""
    shares = {name: float(recipe.inference[name]) for name in ("threshold", "candidate_score", "merge_overlap")}
    return {
        "network_def": dict(recipe.network),
        "preprocessing": {"_target_": "Compose", "transforms": list(recipe.preprocessing)},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(recipe.inference.get("window", recipe.patch_size)),
            "overlap": float(recipe.inference["overlap"]),
        },
        "cnnseg": {"anchors": recipe.detection.anchors, **shares, **_averaging(recipe)},
    }


def _averaging(recipe: Recipe) -> dict[str, Any]:
    """Along which axes a model may be averaged over mirrorings, and whether it always is."""
    always = {name: True for name in ("quarter_turns", "always_averaged") if recipe.inference.get(name)}
    return {"mirror_axes": list(recipe.inference.get("mirror_axes", ())), **always}


def _loading(weights: str) -> str:
    """The expression by which MONAI fills the network; it multiplies weights in int8 by their scales."""
    file = f"@bundle_root + '/{WEIGHTS}'"
    if weights != INT8:
        return f"$load_model(@network, {file})"
    return (
        f"$@network.load_state_dict({{name: tensor * state.get(name + '{SCALE}', 1) for state in [load_file({file})] "
        f"for name, tensor in state.items() if not name.endswith('{SCALE}')}}, strict=False)"
    )


def inference_config(recipe: Recipe, weights: str) -> dict[str, Any]:
    """``configs/inference.json``: what CNNSeg reads as data, and what MONAI needs to run it by itself."""
    own = {
        "mirror_axes": list(recipe.inference["mirror_axes"]),
        "postprocess": dict(recipe.inference["postprocess"]),
    }
    return {
        "imports": [
            "$import glob",
            f"$from safetensors.torch import {'load_file' if weights == INT8 else 'load_model'}",
        ],
        "bundle_root": ".",
        "dataset_dir": "",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "cpu",
        "network_def": dict(recipe.network),
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": list(recipe.preprocessing)},
        "datalist": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(recipe.patch_size),
            "sw_batch_size": recipe.batch_size,
            "overlap": recipe.inference["overlap"],
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "initialize": [_loading(weights)],
        "run": ["$@evaluator.run()"],
        "cnnseg": own,
    }
