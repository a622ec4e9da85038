"""A small detector for tests that needs no training, and a chest with balls for it to find.

``BallFinder`` compares the mean around a voxel with that of the shell around it. Its boxes are its anchors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from thorax_phantom import thorax
from torch.nn import functional

from SlicerCNNSegLib.engine.networks import DETECTION, NetworkFacts, build_network, network_names, register_network
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import save_weights

SPACING_MM = 4.0
BALL_MM = 24.0
BALLS_RAS_MM = ((70.0, 2.0, 40.0), (-76.0, -10.0, 62.0))
"""In the right and in the left lung; on no voxel's centre."""

STEEPNESS, LEAST = 30.0, 0.4
"""Of the logit over the contrast: above ``LEAST`` it is positive."""


class BallFinder(torch.nn.Module):
    """See the top; one level of stride 2 with one anchor."""

    def __init__(self, spatial_dims: int = 3, in_channels: int = 1, num_classes: int = 1) -> None:
        super().__init__()
        self.least = torch.nn.Parameter(torch.tensor(LEAST))

    def forward(self, image: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        """Maps of logits and of offsets, which are 0."""
        inner = functional.avg_pool3d(image, 3, stride=1, padding=1)
        outer = functional.avg_pool3d(image, 9, stride=1, padding=4)
        contrast = inner - (outer * 9**3 - inner * 3**3) / (9**3 - 3**3)
        logits = STEEPNESS * (contrast - self.least)[..., ::2, ::2, ::2]
        return {"classification": [logits], "box_regression": [torch.zeros_like(logits).repeat(1, 6, 1, 1, 1)]}


if "BallFinder" not in network_names():
    facts = NetworkFacts(classes={DETECTION: "num_classes"}, spatial_dims=(3,), stride=(2,))
    register_network("BallFinder", BallFinder, facts)


def chest(balls: Sequence[Sequence[float]] = BALLS_RAS_MM, *, seed: int = 0, shift_mm: float = 0.0) -> Volume:
    """A chest of 4 mm voxels with solid balls of ``BALL_MM``; its content moved towards the head by ``shift_mm``."""
    volume = thorax((SPACING_MM,) * 3, seed=seed, noise_hu=10.0, vessels=0).volume
    grid = volume.geometry
    kji = np.indices(grid.shape_kji).reshape(3, -1)
    ras = grid.ras_from_ijk(kji[::-1].T)
    array = volume.array.copy()
    for center in balls:
        away = np.linalg.norm(ras - center, axis=1).reshape(grid.shape_kji)
        share = np.clip((BALL_MM / 2 - away) / SPACING_MM + 0.5, 0, 1)
        array[0] += share * (30 - array[0])
    moved = volume.ijk_to_ras.copy()
    moved[2, 3] += shift_mm
    return replace(volume, array=np.rint(array).astype(np.int16), ijk_to_ras=moved)


def write_tiny_detector(folder: Path, *, members: int = 1, task: str = DETECTION, **running: Any) -> Path:
    """Write a detector's folder; its id is the folder's name. ``running`` replaces values of the block cnnseg."""
    (folder / "configs").mkdir(parents=True)
    definition = {"_target_": "BallFinder", "spatial_dims": 3, "in_channels": 1, "num_classes": 1}
    for number in range(members):
        save_weights(build_network(definition), folder / "models" / f"member_{number}.safetensors")
    edge = BALL_MM / SPACING_MM
    own = {"anchors": [[[edge] * 3]], "threshold": 0.5, "candidate_score": 0.02, "merge_overlap": 0.1}
    inference = {
        "network_def": definition,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [SPACING_MM] * 3},
                {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 0, "b_min": 0, "b_max": 1, "clip": True},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [24, 24, 24], "overlap": 0.5},
        "cnnseg": own | running,
    }
    about = {
        "id": folder.name,
        "title": "Balls",
        "task": task,
        "channels": [{"name": "CT", "modality": "CT"}],
        "labels": [{"value": 1, "name": "Nodule", "color": [0.9, 0.6, 0.1], "type": ["SCT", "27925004", "Nodule"]}],
        "classes": [{"name": "a"}, {"name": "b"}],
        "licence": "Apache-2.0",
    }
    metadata = {
        "version": "1.0.0",
        "description": "Finds balls.",
        "data_source": "none",
        "intended_use": "tests",
        "cnnseg": about,
    }
    for name, plain in (("inference", inference), ("metadata", metadata)):
        (folder / "configs" / f"{name}.json").write_text(json.dumps(plain), encoding="utf-8")
    return folder
