"""The self-check of a classifier finds what changed in it."""

import json

import pytest
from safetensors.torch import load_file, save_file
from tiny_classifier import write_tiny_classifier

from SlicerCNNSegLib.engine.catalogue import CatalogueEntry
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.store.pattern import FILE
from SlicerCNNSegLib.engine.store.self_check import PROBABILITIES, check_model, make_self_check

SCALED = {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 600, "b_min": -1, "b_max": 1}
SIZES = {0: [12, 11, 10], 1: [12, 11], 3: [12, 11]}
"""Of the window by the number of slices."""


@pytest.fixture(params=SIZES, ids=["volume", "slice", "three slices"])
def folder(request, tmp_path):
    transforms = [SCALED, {"_target_": "ResizeWithPadOrCropd", "spatial_size": SIZES[request.param]}]
    return write_tiny_classifier(tmp_path / "light", transforms=transforms, slices=request.param)


def answer(folder):
    package = ModelPackage.read(folder)
    (found,) = [one for one in check_model(CatalogueEntry("light", folder, package)) if one.question == PROBABILITIES]
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
    assert detail.endswith("allowed 0.01")
    stored = json.loads((folder / FILE).read_text())
    assert sum(stored["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert max(stored["probabilities"]) < 0.99


def test_changed_weights_are_told(folder):
    make_self_check(ModelPackage.read(folder))
    path = folder / "models" / "model_0.safetensors"
    save_file({name: 1.5 * tensor for name, tensor in load_file(path).items()}, path)
    assert answer(folder)[0] is False


def test_a_changed_preprocessing_is_told(folder):
    make_self_check(ModelPackage.read(folder))
    edit(folder / "configs" / "inference.json", lambda data: data["preprocessing"]["transforms"][0].update(a_max=1000))
    assert answer(folder)[0] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("probabilities"), "cannot be read ('probabilities')"),
        (lambda data: data.update(probabilities=["x", 1]), "cannot be read"),
        (lambda data: data.update(probabilities=[float("nan"), 1]), "has probabilities that are no numbers"),
        (lambda data: data.update(probabilities=[0.2, 0.3, 0.5]), "has 3 probabilities, expected 2"),
        (lambda data: data["image"].update(size_ijk=[10**6] * 3), "impossible size or values"),
    ],
)
def test_a_damaged_check_is_told(tmp_path, change, message):
    transforms = [SCALED, {"_target_": "ResizeWithPadOrCropd", "spatial_size": SIZES[1]}]
    folder = write_tiny_classifier(tmp_path / "light", transforms=transforms, slices=1)
    make_self_check(ModelPackage.read(folder))
    edit(folder / FILE, change)
    passed, detail = answer(folder)
    assert passed is False
    assert message in detail
