"""Small model folders for tests: a network whose answer is known in closed form, or a random U-Net.

``Threshold`` scores class 1 with the first channel's normalised intensity and background with 0: what
is brighter than the mean is class 1. So a bright blob is found exactly, wherever it lies.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from SlicerCNNSegLib.engine.networks import build_network, network_names, register_network
from SlicerCNNSegLib.engine.weights import save_weights

THRESHOLD = {"_target_": "Threshold", "in_channels": 1, "dims": 3}
RANDOM_UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
}
SCORE_SCALE = 50.0
"""Sharp enough that interpolated probabilities switch at the threshold."""


class Threshold(torch.nn.Module):
    """Class 1 where the first input channel (the middle one of stacked slices) is above 0."""

    def __init__(self, in_channels: int = 1, dims: int = 3) -> None:
        super().__init__()
        conv = torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d
        self.score = conv(in_channels, 2, kernel_size=1, bias=False)
        with torch.no_grad():
            self.score.weight.zero_()
            self.score.weight[1, in_channels // 2] = SCORE_SCALE

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, 2, ...) of image (batch, channel, ...)."""
        return self.score(image)


if "Threshold" not in network_names():
    register_network("Threshold", Threshold)


def write_tiny_model(
    folder: Path,
    *,
    network: dict[str, object] = THRESHOLD,
    channels: tuple[tuple[str, str], ...] = (("T1", "MR"),),
    window: tuple[int, ...] = (16, 16, 16),
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    axcodes: str = "RAS",
    slices: int = 0,
    mirror_axes: tuple[int, ...] = (0,),
    postprocess: dict[str, object] | None = None,
    members: int = 1,
    label: str = "Blob",
    extent_mm: dict[str, list[float]] | None = None,
) -> Path:
    """Write a bundle folder for one structure; its id is the folder's name.

    Parameters
    ----------
    channels:
        Names and modalities of the input channels.
    members:
        Number of weights files (ensemble members).
    """
    normalise = {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True}
    inference = {
        "network_def": network,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Orientationd", "keys": "image", "axcodes": axcodes},
                {"_target_": "Spacingd", "keys": "image", "pixdim": list(spacing_mm)},
                normalise,
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": list(window), "sw_batch_size": 2, "overlap": 0.5},
        "cnnseg": {"mirror_axes": list(mirror_axes), "slices": slices, "postprocess": postprocess or {}},
    }
    metadata = {
        "version": "0.0.1",
        "description": "A model for tests.",
        "data_source": "none",
        "intended_use": "tests",
        "cnnseg": {
            "id": folder.name,
            "title": "Test model",
            "task": "segmentation",
            "licence": "Apache-2.0",
            "extent_mm": extent_mm,
            "channels": [{"name": name, "modality": modality} for name, modality in channels],
            "labels": [
                {"value": 1, "name": label, "color": [1.0, 0.5, 0.0], "type": ["SCT", "4147007", "Mass"]},
            ],
        },
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(inference), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.manual_seed(0)
    for member in range(members):
        save_weights(build_network(network), folder / "models" / f"model_{member}.safetensors")
    return folder
