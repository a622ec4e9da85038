"""Model folders read as plain data, and what is said of broken ones."""

import json

import pytest
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.catalogue import find_model, list_models
from SlicerCNNSegLib.engine.errors import ModelError, UnknownModelError
from SlicerCNNSegLib.engine.package import ModelPackage


def edit(folder, name, change):
    """Change a config file of a model through ``change(data)``."""
    path = folder / "configs" / name
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "models" / "tiny", channels=(("T1", "MR"), ("CT", "CT")))


def test_a_folder_is_read_as_data(folder):
    package = ModelPackage.read(folder)
    assert (package.id, package.task, package.modality) == ("tiny", "segmentation", "MR+CT")
    assert [label.name for label in package.labels] == ["Blob"]
    assert package.size_bytes == sum(path.stat().st_size for path in package.weights_files) > 0
    assert package.extent_mm is None


def test_the_checksum_covers_configuration_and_weights(folder):
    before = ModelPackage.read(folder).sha256
    assert ModelPackage.read(folder).sha256 == before
    edit(folder, "inference.json", lambda data: data["inferer"].update(overlap=0.25))
    changed = ModelPackage.read(folder).sha256
    assert changed != before
    with (folder / "models" / "model_0.safetensors").open("ab") as stream:
        stream.write(b" ")
    assert ModelPackage.read(folder).sha256 not in (before, changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("version"), r"lacks 'version' in configs/metadata.json; see docs/models.md"),
        (lambda data: data["cnnseg"].pop("labels"), r"lacks 'labels' in configs/metadata.json"),
        (lambda data: data["cnnseg"].update(labels=3), r"has a wrong value in configs/metadata.json"),
        (lambda data: data["cnnseg"].update(task="magic"), r"has task 'magic'; expected one of segmentation"),
        (lambda data: data["cnnseg"].update(channels=[]), r"needs at least one channel"),
        (lambda data: data["cnnseg"]["labels"].append(data["cnnseg"]["labels"][0]), r"label values that differ"),
        (lambda data: data["cnnseg"].update(extent_mm={"low": [1], "high": [2]}), r"extent_mm needs low and high"),
    ],
)
def test_a_fault_in_the_metadata_is_named(folder, change, message):
    edit(folder, "metadata.json", change)
    with pytest.raises(ModelError, match=message):
        ModelPackage.read(folder)


def test_missing_and_damaged_files_are_named(folder):
    (folder / "configs" / "inference.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match=r"inference.json must hold a JSON object, got list"):
        ModelPackage.read(folder)
    (folder / "configs" / "inference.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"inference.json is no valid JSON"):
        ModelPackage.read(folder)
    (folder / "configs" / "inference.json").unlink()
    with pytest.raises(ModelError, match=r"The model tiny lacks configs/inference.json"):
        ModelPackage.read(folder)


def test_a_model_without_weights_is_told(folder):
    (folder / "models" / "model_0.safetensors").unlink()
    with pytest.raises(ModelError, match=r"tiny has no weights \(models/\*.safetensors\); install it again"):
        ModelPackage.read(folder)


def test_a_users_model_is_listed_and_hides_a_shipped_one_of_its_id(folder, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(folder.parent))
    edit(folder, "metadata.json", lambda data: data["cnnseg"].update(id="hippocampus-mr"))
    assert find_model("hippocampus-mr").folder == folder


def test_a_broken_model_is_listed_with_its_reason(folder, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(folder.parent))
    (folder / "configs" / "metadata.json").unlink()
    (entry,) = [entry for entry in list_models() if entry.id == "tiny"]
    assert entry.package is None
    assert "lacks configs/metadata.json" in entry.problem
    with pytest.raises(ModelError, match=r"lacks configs/metadata.json"):
        find_model("tiny")


def test_an_unknown_model_lists_the_known_ones(folder, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(folder.parent))
    with pytest.raises(UnknownModelError, match=r"No model 'nothing': expected one of .*tiny"):
        find_model("nothing")
