"""Weights to start from: by a model's id, from a bundle's folder, from a run."""

import hashlib

import pytest
import torch
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.engine.errors import SettingsError, UnknownModelError, WeightsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegTrainLib.engine.recipe import Start
from SlicerCNNSegTrainLib.engine.training.checkpoint import save_checkpoint
from SlicerCNNSegTrainLib.engine.transfer.adapters import add_adapters
from SlicerCNNSegTrainLib.engine.transfer.source import Source, resolve_source


@pytest.mark.parametrize("by", ["id", "folder"])
def test_a_model_is_found_by_id_and_by_folder(tmp_path, monkeypatch, by):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path))
    folder = write_tiny_model(tmp_path / "tiny", network=RANDOM_UNET)
    source = resolve_source(Start("tiny" if by == "id" else str(folder)))
    assert (source.id, source.sha256, source.note) == ("tiny", ModelPackage.read(folder).sha256, "")
    torch.manual_seed(0)  # as write_tiny_model does
    own = build_network(RANDOM_UNET).state_dict()
    assert set(source.state) == set(own)
    assert all(torch.equal(source.state[name], own[name].half()) for name in own if own[name].is_floating_point())


def test_of_an_ensemble_the_first_member_is_taken_and_told(tmp_path):
    folder = write_tiny_model(tmp_path / "tiny", network=RANDOM_UNET, members=3)
    source = resolve_source(Start(str(folder)))
    assert source.text() == f"tiny (sha256 {source.sha256[:12]}, model_0.safetensors of 3)"
    assert source.to_json() == {"id": "tiny", "sha256": source.sha256, "note": "model_0.safetensors of 3"}


@pytest.mark.parametrize(("given", "note"), [("run", "from fold_0/best.pt"), ("run/fold_1", "from best.pt")])
def test_a_run_gives_its_averaged_weights(tmp_path, given, note):
    for fold in range(2):
        state = {"average": {"weight": torch.full((2,), float(fold))}, "network": {"weight": torch.full((2,), 9.0)}}
        (tmp_path / "run" / f"fold_{fold}").mkdir(parents=True)
        save_checkpoint(tmp_path / "run" / f"fold_{fold}" / "best.pt", state)
    source = resolve_source(Start(str(tmp_path / given)))
    fold = int(given.endswith("1"))
    digest = hashlib.sha256((tmp_path / "run" / f"fold_{fold}" / "best.pt").read_bytes()).hexdigest()
    assert (source.id, source.sha256, source.note) == (given.rpartition("/")[2], digest, note)
    assert source.state["weight"].tolist() == [fold, fold]


def test_a_run_with_adapters_gives_plain_weights(tmp_path):
    network = build_network(RANDOM_UNET)
    names = set(network.state_dict())
    add_adapters(network, 1)
    save_checkpoint(tmp_path / "best.pt", {"average": network.state_dict()})
    assert set(resolve_source(Start(str(tmp_path))).state) == names


def test_what_is_neither_is_told(tmp_path):
    with pytest.raises(UnknownModelError, match=r"No model 'nowhere': expected one of"):
        resolve_source(Start("nowhere"))
    with pytest.raises(SettingsError, match=r"Expected a model .* or a run .* holds neither; choose another folder"):
        resolve_source(Start(str(tmp_path)))


@pytest.mark.parametrize("state", [{"step": 3}, [1, 2], None])
def test_an_unreadable_run_is_told(tmp_path, state):
    if state is None:
        (tmp_path / "best.pt").write_bytes(b"PK broken")
    else:
        save_checkpoint(tmp_path / "best.pt", state)
    with pytest.raises(WeightsError, match=r"best.pt cannot be read; start from another run or a model"):
        resolve_source(Start(str(tmp_path)))


def test_an_unreadable_bundle_is_told(tmp_path):
    folder = write_tiny_model(tmp_path / "tiny")
    (folder / "models" / "model_0.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match=r"model_0.safetensors cannot be read .* install the model again"):
        resolve_source(Start(str(folder)))


def test_the_weights_are_not_in_its_text():
    assert "tensor" not in repr(Source("a", "b", {"weight": torch.ones(2)}))
