"""Networks made without MONAI: the same weights under the same names, the same scores to the bit, and no MONAI."""

import subprocess
import sys

import pytest
import torch
from tiny_cases import write_blob
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.lean import lean_network
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import load_weights, save_weights

DYNUNET = {
    "_target_": "monai.networks.nets.DynUNet",
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 3,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 6, 8],
    "norm_name": "instance",
}
FLAT_STRIDES = {"kernel_size": [[1, 3, 3], 3, 3], "strides": [1, [1, 2, 2], 2], "upsample_kernel_size": [[1, 2, 2], 2]}
DEEPER = {
    "kernel_size": [3] * 4,
    "strides": [1, 2, 2, 2],
    "upsample_kernel_size": [2] * 3,
    "filters": [4, 6, 8, 10],
    "deep_supervision": True,
    "deep_supr_num": 2,
}


@pytest.mark.parametrize(
    "more",
    [{}, FLAT_STRIDES, DEEPER, {"norm_name": ["INSTANCE", {"affine": True}]}, {"spatial_dims": 2}],
    ids=["plain", "anisotropic", "deep supervision", "affine", "2-D"],
)
def test_scores_are_those_of_monais_network_to_the_bit(tmp_path, more):
    definition = DYNUNET | more
    torch.manual_seed(0)
    expected = build_network(definition).eval()
    with torch.no_grad():
        for name, weights in expected.named_parameters():
            if "norm" in name:
                weights.normal_()
    save_weights(expected, tmp_path / "model.safetensors", torch.float32)
    found = lean_network(definition).eval()
    load_weights(found, tmp_path / "model.safetensors")
    image = torch.randn(2, 2, *[16] * definition["spatial_dims"])
    with torch.inference_mode():
        assert torch.equal(found(image), expected(image))


@pytest.mark.parametrize(
    "more",
    [
        {"_target_": "monai.networks.nets.UNet"},
        {"norm_name": "batch"},
        {"norm_name": ["instance", {"eps": 1e-3}]},
        {"dropout": 0.1},
        {"res_block": True},
        {"filters": [4, 6, 8, 10]},
    ],
)
def test_another_network_is_left_to_monai(more):
    assert lean_network(DYNUNET | more) is None


def test_without_widths_it_is_left_to_monai():
    definition = {name: value for name, value in DYNUNET.items() if name != "filters"}
    assert lean_network(definition) is None


def test_a_segmentation_from_file_to_file_imports_no_monai(tmp_path):
    model = write_tiny_model(tmp_path / "dynunet", network=DYNUNET | {"in_channels": 1, "out_channels": 2})
    image = write_blob(tmp_path / "a.nii.gz")
    line = ["segment", str(image), "-o", str(tmp_path / "out"), "--model", str(model), "--device", "cpu"]
    code = f"import sys; from SlicerCNNSegLib.cli.main import main; main({line}); print('monai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert (tmp_path / "out" / "a.seg.nrrd").is_file()
