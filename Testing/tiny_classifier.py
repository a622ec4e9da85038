"""Small classifiers for tests: a network whose probabilities and heat maps are known in closed form.

``BrightDark`` scores the class "bright" with the mean of the positive intensities and "dark" with that of
the negative ones, times ``SCALE``. Its Grad-CAM for "bright" is the positive part of the image itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool

from SlicerCNNSegLib.engine.networks import (
    CLASSIFICATION,
    NetworkFacts,
    build_network,
    network_names,
    register_network,
)
from SlicerCNNSegLib.engine.weights import save_weights

SCALE = 4.0
CLASSES = ("bright", "dark")


class BrightDark(torch.nn.Module):
    """See the top; ``reverse`` swaps the classes, ``seen`` is the input channel that counts."""

    def __init__(
        self, spatial_dims: int = 3, in_channels: int = 1, classes: int = 2, seen: int = 0, reverse: bool = False
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims](in_channels, 2, kernel_size=1, bias=False)
        self.features = torch.nn.Sequential(conv, torch.nn.ReLU())
        self.head = torch.nn.Sequential(
            Pool[Pool.ADAPTIVEAVG, spatial_dims](1), torch.nn.Flatten(), torch.nn.Linear(2, classes, bias=False)
        )
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[0, seen], conv.weight[1, seen] = 1.0, -1.0
            weights = torch.zeros(classes, 2)
            weights[0, int(reverse)] = weights[1, int(not reverse)] = SCALE
            self.head[2].weight.copy_(weights)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (batch, class) of images (batch, channel, ...)."""
        return self.head(self.features(image))


if "BrightDark" not in network_names():
    facts = NetworkFacts(classes={CLASSIFICATION: "classes"}, last_features="features")
    register_network("BrightDark", BrightDark, facts)


def write_tiny_classifier(
    folder: Path,
    *,
    transforms: Sequence[dict[str, Any]],
    slices: int = 0,
    network: dict[str, Any] | None = None,
    channels: Sequence[tuple[str, str]] = (("T1", ""),),
    classes: Sequence[dict[str, Any]] = ({"name": "bright"}, {"name": "dark"}),
    members: Sequence[dict[str, Any]] = ({},),
    multi_label: bool = False,
    task: str = CLASSIFICATION,
    running: dict[str, Any] | None = None,
) -> Path:
    """Write a bundle's folder; its id is the folder's name.

    Parameters
    ----------
    transforms:
        The preprocessing; ``keys`` are added.
    slices:
        0 makes a 3-D network, else a 2-D one of so many slices.
    network:
        Definition; BrightDark when None.
    members:
        Arguments for each weights file of the ensemble that differ from the definition.
    running:
        More of the block ``cnnseg`` of ``inference.json``.
    """
    dims, planes = (2, slices) if slices else (3, 1)
    definition = network or {
        "_target_": "BrightDark",
        "spatial_dims": dims,
        "in_channels": planes * len(channels),
        "classes": max(2, len(classes)),
        "seen": planes // 2 * len(channels),
    }
    inference = {
        "network_def": definition,
        "preprocessing": {"_target_": "Compose", "transforms": [{"keys": "image", **one} for one in transforms]},
        "cnnseg": {"slices": slices, **(running or {})},
    }
    metadata = {
        "version": "0.0.1",
        "description": "A model for tests.",
        "data_source": "none",
        "intended_use": "tests",
        "cnnseg": {
            "id": folder.name,
            "title": "Test model",
            "task": task,
            "licence": "Apache-2.0",
            "channels": [{"name": name, "modality": modality} for name, modality in channels],
            "classes": list(classes),
            "multi_label": multi_label,
        },
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(inference), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.manual_seed(0)
    for number, changes in enumerate(members):
        save_weights(
            build_network({**definition, **changes}), folder / "models" / f"model_{number}.safetensors", torch.float32
        )
    return folder
