"""Weights in and out."""

import pytest
import torch
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.weights import load_networks, load_weights, save_weights


def test_the_way_to_a_file_and_back_keeps_half_precision(tmp_path):
    torch.manual_seed(0)
    network, other = torch.nn.Conv3d(1, 4, 3), torch.nn.Conv3d(1, 4, 3)
    save_weights(network, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert other.weight.dtype == torch.float32
    torch.testing.assert_close(other.weight, network.weight.half().float(), atol=0, rtol=0)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"cannot be read .* install the model again"):
        load_weights(torch.nn.Conv3d(1, 4, 3), tmp_path / "w.safetensors")


def test_mismatches_are_counted_and_named(tmp_path):
    save_weights(torch.nn.ModuleDict({"a": torch.nn.Conv3d(1, 4, 3), "b": torch.nn.Linear(2, 2)}), tmp_path / "w")
    other = torch.nn.ModuleDict({"a": torch.nn.Conv3d(2, 4, 3), "c": torch.nn.Linear(2, 2)})
    expected = r"2 missing \(first: c.bias\), 2 unexpected \(first: b.bias\), 1 of another shape \(first: a.weight\)"
    with pytest.raises(WeightsError, match=expected):
        load_weights(other, tmp_path / "w")


def test_every_ensemble_member_is_loaded_once_and_kept(tmp_path):
    package = ModelPackage.read(write_tiny_model(tmp_path / "tiny", members=3))
    networks = load_networks(package, torch.device("cpu"))
    assert len(networks) == 3
    assert not any(p.requires_grad for network in networks for p in network.parameters())
    assert load_networks(package, torch.device("cpu")) is networks


def test_a_tensor_that_modules_share_is_written_once_and_read_back(tmp_path):
    torch.manual_seed(0)
    shared = torch.nn.Linear(64, 64)
    network = torch.nn.ModuleDict({"a": shared, "b": shared})
    save_weights(network, tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_size < 1.2 * (64 * 64 + 64) * 2
    save_weights(network, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "w.safetensors").read_bytes()
    again = torch.nn.Linear(64, 64)
    load_weights(torch.nn.ModuleDict({"a": again, "b": again}), tmp_path / "w.safetensors")
    torch.testing.assert_close(again.weight, shared.weight.half().float(), atol=0, rtol=0)
