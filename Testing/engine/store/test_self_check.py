"""The self-check finds what changed in a model, and is quiet about what did not."""

import json
import re

import pytest
from safetensors.torch import load_file, save_file
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.engine.catalogue import EMBEDDED_MODELS, CatalogueEntry
from SlicerCNNSegLib.engine.errors import Cancelled, ModelError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.store import self_check
from SlicerCNNSegLib.engine.store.self_check import (
    BUNDLE,
    CHECKSUM,
    FILE,
    LABELS,
    WEIGHTS,
    Pattern,
    check_model,
    make_self_check,
)


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "tiny", channels=(("T1", "MR"),))


def answers(folder):
    package = ModelPackage.read(folder)
    return {f.question: (f.passed, f.detail) for f in check_model(CatalogueEntry(package.id, folder, package))}


def edit(path, change):
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_a_good_model_passes_and_says_what_was_not_asked(folder):
    found = answers(folder)
    assert {question: passed for question, (passed, _) in found.items()} == {
        BUNDLE: True, WEIGHTS: True, CHECKSUM: None, LABELS: None
    }  # fmt: skip
    assert found[CHECKSUM][1] == "configs/metadata.json gives none"
    assert found[LABELS][1] == "the model has no configs/self_check.json"


@pytest.mark.parametrize("name", sorted(path.name for path in EMBEDDED_MODELS.iterdir() if path.is_dir()))
def test_shipped_models_pass(name):
    assert not [question for question, (passed, _) in answers(EMBEDDED_MODELS / name).items() if passed is False]


@pytest.mark.parametrize("network", [None, RANDOM_UNET])
def test_a_made_check_is_passed(tmp_path, network):
    folder = write_tiny_model(tmp_path / "m", **({"network": network} if network else {}), members=2)
    path = make_self_check(ModelPackage.read(folder))
    assert path == folder / FILE
    assert path.stat().st_size < 100_000
    passed, detail = answers(folder)[LABELS]
    assert passed is True
    assert detail == "100.0000% of voxels agree, Dice of what is labelled 1.0000"


def test_the_image_is_one_in_which_something_is_found(folder):
    make_self_check(ModelPackage.read(folder))
    pattern, labels = self_check._read_self_check(folder / FILE)
    assert labels.shape == tuple(reversed(pattern.size_ijk))
    assert 0.05 < (labels > 0).mean() < 0.95


def test_the_checksum_tells_a_changed_configuration(folder):
    sha256 = ModelPackage.read(folder).sha256
    edit(folder / "configs" / "metadata.json", lambda data: data["cnnseg"].update(sha256=sha256))
    assert answers(folder)[CHECKSUM] == (True, sha256)
    edit(folder / "configs" / "inference.json", lambda data: data["inferer"].update(overlap=0.1))
    passed, detail = answers(folder)[CHECKSUM]
    assert passed is False
    assert "its configuration or weights were changed: get it anew" in detail


def test_changed_weights_give_other_labels(folder):
    make_self_check(ModelPackage.read(folder))
    path = folder / "models" / "model_0.safetensors"
    save_file({name: -tensor for name, tensor in load_file(path).items()}, path)
    passed, detail = answers(folder)[LABELS]
    assert passed is False
    assert "of voxels agree" in detail


def test_a_model_that_finds_nothing_more_fails_although_most_is_background(folder, monkeypatch):
    make_self_check(ModelPackage.read(folder))
    monkeypatch.setattr(self_check, "AGREEMENT", 0.0)
    path = folder / "models" / "model_0.safetensors"
    save_file({name: 0 * tensor for name, tensor in load_file(path).items()}, path)
    assert answers(folder)[LABELS][0] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("score.weight"), r"1 tensors are missing.*first: 'score.weight'"),
        (lambda state: state.update(more=state["score.weight"].clone()), r"1 tensors.*first: 'more'"),
        (lambda state: state.update({"score.weight": state["score.weight"][:1].clone()}), r"first: 'score.weight'"),
    ],
)
def test_weights_of_another_network_are_told_and_nothing_is_run(folder, change, message):
    make_self_check(ModelPackage.read(folder))
    path = folder / "models" / "model_0.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    found = answers(folder)
    assert found[WEIGHTS][0] is False
    assert re.search(message, found[WEIGHTS][1])
    assert LABELS not in found


@pytest.mark.parametrize("channels", [[10**7, 10**7], [2**40, 2**40]])
def test_a_network_of_absurd_size_costs_no_memory(tmp_path, channels):
    folder = write_tiny_model(tmp_path / "tiny", network=RANDOM_UNET)
    edit(folder / "configs" / "inference.json", lambda data: data["network_def"].update(channels=channels))
    passed, detail = answers(folder)[WEIGHTS]
    assert passed is False
    assert "don't fit their network" in detail or "cannot be built" in detail


def test_shared_tensors_may_be_stored_under_one_name(tmp_path):
    network = {
        "_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [2, 4, 4], "deep_supervision": True,
        "deep_supr_num": 1,
    }  # fmt: skip
    assert len(build_network(network).state_dict()) > len(list(build_network(network).parameters()))
    assert answers(write_tiny_model(tmp_path / "tiny", network=network))[WEIGHTS][0] is True


def test_a_missing_network_is_told(folder):
    edit(folder / "configs" / "inference.json", lambda data: data.pop("network_def"))
    assert answers(folder)[WEIGHTS] == (False, "The model tiny lacks 'network_def' in configs/inference.json.")


def test_a_broken_bundle_is_a_finding(tmp_path):
    (finding,) = check_model(CatalogueEntry("x", tmp_path, None, "The model x lacks everything."))
    assert (finding.question, finding.passed, finding.detail) == (BUNDLE, False, "The model x lacks everything.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("labels"), r"cannot be read \('labels'\)"),
        (lambda data: data.update(labels="!"), r"cannot be read"),
        (lambda data: data["image"].update(size_ijk=[10, 10, 10]), r"cannot be read"),
        (lambda data: data["image"].update(size_ijk=[10**6] * 3), r"has an image of impossible size or values"),
        (lambda data: data["image"].update(low=float("nan")), r"has an image of impossible size or values"),
        (lambda data: data["image"].update(spacing_mm=[0, 1, 1]), r"has an image of impossible size or values"),
        (lambda data: data["image"].update(seed="x"), r"has no right image"),
    ],
)
def test_a_damaged_check_is_told(folder, change, message):
    make_self_check(ModelPackage.read(folder))
    edit(folder / FILE, change)
    with pytest.raises(ModelError, match=message):
        self_check._read_self_check(folder / FILE)
    assert answers(folder)[LABELS][0] is False


def test_the_image_spans_the_range_that_the_model_scales():
    pattern = Pattern(1, (8, 9, 10), (1.0, 1.0, 2.0), -200.0, 300.0)
    package = type("Package", (), {"channels": (type("Channel", (), {"name": "CT", "modality": "CT"}),)})
    (volume,) = pattern.volumes(package)
    assert volume.array.shape == (1, 10, 9, 8)
    assert -200 < volume.array.min() < volume.array.max() < 300
    assert Pattern.from_json(pattern.to_json()) == pattern


def test_it_can_be_cancelled(folder):
    package = ModelPackage.read(folder)
    with pytest.raises(Cancelled):
        check_model(CatalogueEntry("tiny", folder, package), RecordingProgress(cancel_at=0.1))
