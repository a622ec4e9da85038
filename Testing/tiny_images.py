"""A small data set of classified images with a known answer, and a recipe that learns it in seconds."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SIZE = 16
CLASSES = ("empty", "disk", "bar")


def picture(name: str, seed: int) -> np.ndarray:
    """uint8 ``(SIZE, SIZE)``: noise, with a disk or a bar of that class at a random place."""
    random = np.random.default_rng(seed)
    image = random.normal(60, 15, (SIZE, SIZE))
    row, column = random.integers(4, SIZE - 4, 2)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    if name == "disk":
        image[(rows - row) ** 2 + (columns - column) ** 2 <= 9] += 120
    if name == "bar":
        image[row : row + 2] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


def write_images(folder: Path, count: int, classes: Sequence[str] = CLASSES) -> Path:
    """Write PNG files and their table; class after class in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "class"])
        for number in range(count):
            name = classes[number % len(classes)]
            file = f"image_{number:03d}.png"
            sitk.WriteImage(sitk.GetImageFromArray(picture(name, number)), str(folder / file))
            writer.writerow([file, name])
    return folder / "images.csv"


def recipe_of(names: Sequence[str] = CLASSES, **more: Any) -> dict[str, Any]:
    """A small VGG for them, in plain form."""
    return {
        "model": {
            "id": "shapes",
            "version": "0.0.1",
            "title": "Shapes",
            "description": "Tells shapes.",
            "task": "classification",
            "channels": [{"name": "grey", "modality": "", "description": "shapes in noise"}],
            "labels": [],
            "classes": [{"name": name} for name in names],
            "licence": "Apache-2.0",
            "data_source": "made by a test",
            "intended_use": "tests",
            "limits": ["only shapes"],
            "references": [],
        },
        "network": {
            "_target_": "VGG",
            "spatial_dims": 2,
            "in_channels": 1,
            "out_channels": len(names),
            "widths": [8, 16],
            "convolutions": [1, 1],
            "dropout": 0.0,
        },
        "preprocessing": [
            {"_target_": "Resized", "keys": "image", "spatial_size": [SIZE, SIZE]},
            {"_target_": "NormalizeIntensityd", "keys": "image"},
        ],
        "augmentation": {"flip_rl": 0.5, "noise": 0.2},
        "inference": {"mirror_axes": [0]},
        "patch_size": [SIZE, SIZE, 1],
        "batch_size": 12,
        "steps": 60,
        "loss": {"cross_entropy": 1.0},
        "learning_rate": 0.01,
        "warmup_steps": 5,
        "ema_decay": 0.9,
        "precision": "fp32",
        "validate_every": 30,
        "folds": 3,
        **more,
    }
