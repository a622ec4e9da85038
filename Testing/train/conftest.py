"""A small data set with a known answer, and a recipe that learns it in seconds."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from SlicerCNNSegTrainLib.engine.recipe import Recipe

SIZE_IJK = (18, 16, 14)


def write_case(folder, name, seed, label=True):
    """A bright box at a random place in noise; its label 3 is the box."""
    random = np.random.default_rng(seed)
    image = random.normal(0, 0.3, SIZE_IJK[::-1]).astype(np.float32)
    truth = np.zeros(SIZE_IJK[::-1], np.uint8)
    k, j, i = (int(random.integers(1, n - 8)) for n in SIZE_IJK[::-1])
    truth[k : k + 6, j : j + 7, i : i + 7] = 3
    image[truth > 0] += 3
    for kind, array in (("imagesTr", image), ("labelsTr", truth)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        itk = sitk.GetImageFromArray(array)
        itk.SetSpacing((1.0, 1.0, 1.5))
        itk.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        if kind == "imagesTr" or label:
            sitk.WriteImage(itk, folder / kind / f"{name}.nii.gz")


@pytest.fixture(scope="session")
def boxes(tmp_path_factory):
    """Folder of ten cases in MSD form."""
    folder = tmp_path_factory.mktemp("boxes")
    for index in range(10):
        write_case(folder, f"box_{index:02d}", index)
    return folder


@pytest.fixture
def recipe():
    """A small U-Net for the boxes."""
    return Recipe.from_json(
        {
            "model": {
                "id": "box",
                "version": "0.0.1",
                "title": "Boxes",
                "description": "Finds bright boxes.",
                "task": "segmentation",
                "channels": [{"name": "T1", "modality": "MR", "description": "boxes in noise"}],
                "labels": [{"value": 3, "name": "Box", "color": [1.0, 0.0, 0.0]}],
                "licence": "Apache-2.0",
                "data_source": "made by a test",
                "intended_use": "tests",
                "limits": ["only boxes"],
                "references": [],
            },
            "network": {
                "_target_": "monai.networks.nets.DynUNet",
                "spatial_dims": 3,
                "in_channels": 1,
                "out_channels": 2,
                "kernel_size": [3, 3, 3],
                "strides": [1, 2, 2],
                "upsample_kernel_size": [2, 2],
                "filters": [6, 12, 16],
                "norm_name": "instance",
                "deep_supervision": True,
                "deep_supr_num": 1,
                "dropout": 0.1,
            },
            "preprocessing": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [1.0, 1.0, 1.5], "mode": "bilinear"},
                {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True},
            ],
            "augmentation": {"flip_rl": 0.5, "translation": 0.2, "noise": 0.5},
            "inference": {"overlap": 0.5, "mirror_axes": [0], "postprocess": {}},
            "patch_size": [16, 16, 12],
            "batch_size": 2,
            "steps": 80,
            "learning_rate": 0.01,
            "warmup_steps": 5,
            "ema_decay": 0.9,
            "precision": "fp32",
            "validate_every": 40,
        }
    )


@pytest.fixture
def recipe_file(tmp_path, recipe):
    """The recipe as a file."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    return path
