"""The self-check of a detector finds what changed in it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detector import write_tiny_detector

from SlicerCNNSegLib.engine.catalogue import CatalogueEntry
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.store.pattern import FILE
from SlicerCNNSegLib.engine.store.self_check import BOXES, check_model, make_self_check
from SlicerCNNSegLib.engine.weights import save_weights

NETWORK = {
    "_target_": "RetinaNetFPN",
    "spatial_dims": 3,
    "in_channels": 1,
    "num_classes": 1,
    "num_anchors": 1,
    "widths": [8],
    "blocks": [1],
    "pyramid_channels": 8,
}


@pytest.fixture
def folder(tmp_path):
    """A detector with random weights; its boxes are anywhere."""
    made = write_tiny_detector(tmp_path / "boxes")
    edit(made / "configs" / "inference.json", lambda data: data.update(network_def=NETWORK))
    torch.manual_seed(0)
    network = build_network(NETWORK)
    torch.nn.init.normal_(network.classification_head.cls_logits.weight, std=0.05)
    torch.nn.init.normal_(network.regression_head.bbox_reg.weight, std=0.1)
    save_weights(network, made / "models" / "member_0.safetensors")
    return made


def answer(folder):
    package = ModelPackage.read(folder)
    (found,) = [one for one in check_model(CatalogueEntry("boxes", folder, package)) if one.question == BOXES]
    return found.passed, found.detail


def edit(path, change):
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_a_made_check_is_passed_and_a_missing_one_told(folder):
    assert answer(folder) == (None, "the model has no configs/self_check.json")
    assert make_self_check(ModelPackage.read(folder)) == folder / FILE
    passed, detail = answer(folder)
    assert passed is True
    assert detail.startswith("largest difference of a score ")
    stored = json.loads((folder / FILE).read_text())
    assert len(stored["boxes"]) == len(stored["scores"]) == 5
    assert stored["scores"] == sorted(stored["scores"], reverse=True)


@pytest.mark.parametrize("head", ["classification_head.cls_logits.weight", "regression_head.bbox_reg.weight"])
def test_changed_weights_are_told(folder, head):
    make_self_check(ModelPackage.read(folder))
    path = folder / "models" / "member_0.safetensors"
    save_file({name: tensor * (1.5 if name == head else 1) for name, tensor in load_file(path).items()}, path)
    assert answer(folder)[0] is False


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["cnnseg"].update(anchors=[[[7.0] * 3]]),
        lambda data: data["preprocessing"]["transforms"][-1].update(a_max=400),
        lambda data: data["cnnseg"].update(mirror_axes=[0], always_averaged=True),
    ],
    ids=["anchors", "intensities", "mirrorings"],
)
def test_a_changed_configuration_is_told(folder, change):
    make_self_check(ModelPackage.read(folder))
    edit(folder / "configs" / "inference.json", change)
    assert answer(folder)[0] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("boxes"), "cannot be read ('boxes')"),
        (lambda data: data.update(scores=[0.5]), "cannot be read"),
        (lambda data: data.update(boxes=[], scores=[]), "has no boxes"),
        (lambda data: data["scores"].__setitem__(0, float("nan")), "that are no numbers"),
        (lambda data: data["image"].update(size_ijk=[10**6] * 3), "impossible size or values"),
    ],
)
def test_a_check_that_makes_no_sense_is_told(folder, change, message):
    make_self_check(ModelPackage.read(folder))
    edit(folder / FILE, change)
    passed, detail = answer(folder)
    assert passed is False
    assert message in detail
