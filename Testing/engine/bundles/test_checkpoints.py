"""Weights of others: names are made to fit where that is safe, and every mismatch is told in words."""

import numpy as np
import pytest
import torch
from numpy._core.multiarray import _reconstruct as reconstruct
from numpy._core.multiarray import scalar as number
from safetensors.torch import save_file

from SlicerCNNSegLib.engine.bundles import arrays
from SlicerCNNSegLib.engine.bundles.checkpoints import load_into, read_tensors
from SlicerCNNSegLib.engine.bundles.workflow import allowed_names
from SlicerCNNSegLib.engine.configs.resolving import ConfigReader
from SlicerCNNSegLib.engine.errors import ConfigError, WeightsError


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


@pytest.fixture
def state(network):
    return {name: torch.rand_like(tensor.float()).to(tensor.dtype) for name, tensor in network.state_dict().items()}


def loaded(network, state):
    return all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}, lambda s: {"state_dict": s, "epoch": 3},
                                  lambda s: {"mine": s, "optimizer": {"state": {}}}])  # fmt: skip
def test_weights_are_found_beside_other_things(network, state, tmp_path, wrap):
    torch.save(wrap(state), tmp_path / "model.pt")
    assert load_into(network, tmp_path / "model.pt", "mine") == []
    assert loaded(network, state)


@pytest.mark.parametrize("prefix", ["module.", "network.", "_orig_mod."])
def test_a_wrappers_prefix_is_left_out_and_told(network, state, tmp_path, prefix):
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "model.pt")
    (note,) = load_into(network, tmp_path / "model.pt")
    assert note == f"The names of the weights all began with {prefix!r}, which was left out."
    assert loaded(network, state)


def test_safetensors_do_as_well(network, state, tmp_path):
    save_file(state, tmp_path / "model.safetensors")
    assert load_into(network, tmp_path / "model.safetensors") == []
    assert loaded(network, state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"don't fit their network: 1 missing \(first: 0.bias\)"),
        (lambda s: s.update(more=torch.ones(1)), r"1 unexpected \(first: more\)"),
        (lambda s: s.update({"0.bias": torch.ones(5)}), r"1 of another shape \(first: 0.bias\)"),
        (lambda s: s.update({"0.bias": [1.0]}), r"hold what is no tensor \(first: '0.bias'\)"),
        (lambda s: s.clear(), r"hold a dict, expected tensors by name"),
    ],
)
def test_what_does_not_fit_is_told_in_words(network, state, tmp_path, change, message):
    change(state)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=message):
        load_into(network, tmp_path / "model.pt")


def test_a_pickle_that_runs_code_is_not_read(network, tmp_path):
    class Gadget:
        def __reduce__(self):
            return __import__("os").mkdir, (str(tmp_path / "executed"),)

    torch.save({"model": Gadget()}, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match="hold more than tensors, which could run code, and are not read"):
        load_into(network, tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("content", "name"), [(b"", "model.pt"), (b"PK\x03\x04 nothing", "model.pt"),
                                               (b"x" * 100, "model.safetensors")])  # fmt: skip
def test_a_damaged_file_is_told(network, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be read|hold more than tensors"):
        load_into(network, tmp_path / name)


def test_arrays_of_numpy_are_read_from_small_files(tmp_path):
    """As the search results are that DiNTS bundles bring along."""
    wanted = {
        "a": np.arange(12.0).reshape(3, 4),
        "b": np.array([[True, False]]),
        "n": np.float64(2.5),
        "i": np.int64(7),
    }
    torch.save(wanted, tmp_path / "code.pt")
    found = read_tensors(tmp_path / "code.pt")
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype


@pytest.mark.parametrize("value", [np.array([object()]), np.array(["text"]), np.zeros(1, [("a", "f4")])])
def test_other_arrays_are_not(tmp_path, value):
    torch.save({"a": value}, tmp_path / "code.pt")
    with pytest.raises(WeightsError, match=r"hold more than tensors|cannot be read"):
        read_tensors(tmp_path / "code.pt")


@pytest.mark.parametrize("path", ["{0}/../secret.pt", "{0}/models/link.pt", "{0}/models/code.txt", "/etc/passwd", 3])
def test_a_config_loads_files_of_its_own_bundle_alone(tmp_path, path):
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    for place in (tmp_path / "secret.pt", folder / "models" / "code.pt", folder / "models" / "code.txt"):
        torch.save({"a": torch.ones(2)}, place)
    (folder / "models" / "link.pt").symlink_to(tmp_path / "secret.pt")
    names, given = allowed_names(folder), {"root": str(folder)}
    honest = {"x": "$torch.load(@root + '/models/code.pt', map_location=torch.device('cuda'), weights_only=False)['a']"}
    assert ConfigReader(honest, "bundle", names=names, given=given).get("x").tolist() == [1.0, 1.0]
    path = path.format(folder) if isinstance(path, str) else path
    with pytest.raises(ConfigError, match=r"expected a .pt file of the bundle, got "):
        ConfigReader({"x": f"$torch.load({path!r})"}, "bundle", names=names).get("x")


class Reduced:
    """Comes out of a pickle as a call of numpy's."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (reconstruct, (np.ndarray, (2**40,), b"b"), "expected a plain array that begins empty, got"),
        (np.dtype, ("(100000,100000)f8", False, True), "expected a plain number type, got"),
        (np.dtype, ("O8", False, True), "expected a plain number type, got"),
        (number, (np.dtype("f8"), b"1"), "expected a plain number, got float64"),
    ],
)
def test_arrays_that_would_fill_the_memory_are_not_made(tmp_path, function, arguments, message):
    torch.save({"a": Reduced(function, arguments)}, tmp_path / "code.pt")
    with pytest.raises(WeightsError, match=rf"{message}|hold more than tensors"):
        read_tensors(tmp_path / "code.pt")
    with arrays.plain_arrays(), pytest.raises(Exception, match=message):
        torch.load(tmp_path / "code.pt", weights_only=True)


def test_arrays_in_large_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("SlicerCNNSegLib.engine.bundles.checkpoints.LARGEST_OF_ARRAYS", 10)
    torch.save({"a": np.zeros(3)}, tmp_path / "code.pt")
    with pytest.raises(WeightsError, match="hold more than tensors"):
        read_tensors(tmp_path / "code.pt")
