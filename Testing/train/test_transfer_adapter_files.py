"""Adapters on disk: small, complete, and refused on any model but theirs."""

import json
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import save_weights
from SlicerCNNSegTrainLib.engine.recipe import RECIPES
from SlicerCNNSegTrainLib.engine.transfer.adapter_files import load_adapters, save_adapters
from SlicerCNNSegTrainLib.engine.transfer.adapters import add_adapters, merge_adapters
from SlicerCNNSegTrainLib.engine.transfer.loading import load_partially
from SlicerCNNSegTrainLib.engine.transfer.source import Source

RANK = 2
LAYER = "input_block.conv2.conv.parametrizations.weight.0"


@pytest.fixture
def base(recipe):
    """A model to start from, with a structure less."""
    torch.manual_seed(0)
    return Source("base", "ab" * 32, build_network(recipe.network).state_dict())


@pytest.fixture
def definition(recipe):
    """Another head, and batch normalisation, whose statistics are learned too."""
    return {**recipe.network, "out_channels": 3, "norm_name": "batch"}


def begin(definition, base, seed):
    torch.manual_seed(seed)
    network = build_network(definition)
    return network, load_partially(network, base, definition).fresh


@pytest.fixture
def stored(tmp_path, definition, base):
    """A network that has learned for a step, and the file of what it learned."""
    network, fresh = begin(definition, base, 1)
    add_adapters(network, RANK, fresh)
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        network.train()(torch.randn(2, 1, 8, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    save_adapters(network, tmp_path / "adapters.safetensors", base, RANK)
    return network.eval(), tmp_path / "adapters.safetensors"


def test_stored_adapters_come_back_exactly(stored, definition, base):
    network, path = stored
    again, _ = begin(definition, base, 2)  # another seed: whatever is not loaded differs
    load_adapters(again, path, base)
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(again.eval()(image), network(image))
        merge_adapters(again)
        torch.testing.assert_close(again(image), network(image), rtol=0, atol=1e-5)


def test_the_file_says_what_it_belongs_to(stored):
    with safe_open(stored[1], framework="pt") as stream:
        described = stream.metadata()
    assert described == {"cnnseg_adapters": "1", "base_id": "base", "base_sha256": "ab" * 32, "rank": "2"}
    assert stored[1].stat().st_mode & 0o777 == 0o644


def test_adapters_of_the_hippocampus_model_take_less_than_a_tenth_of_it(tmp_path):
    definition = json.loads((RECIPES / "hippocampus-mr.json").read_text(encoding="utf-8"))["network"]
    network = build_network(definition)
    save_weights(network, tmp_path / "whole.safetensors")
    add_adapters(network, 4)
    save_adapters(network, tmp_path / "adapters.safetensors", Source("base", "0" * 64, {}), 4)
    # though the model's own numbers have two bytes, and the adapters' four
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["adapters"] < 0.1 * sizes["whole"]


def test_another_base_is_refused(stored, definition, base):
    network, _ = begin(definition, base, 2)
    other = Source("other", "cd" * 32, base.state)
    message = (
        rf"were trained on base with sha256 {'ab' * 32}, but the network has the weights of other with sha256 cdcd"
    )
    with pytest.raises(WeightsError, match=message):
        load_adapters(network, stored[1], other)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({f"{LAYER}.up": None}, f"{LAYER}.up"),
        ({"stranger.weight": torch.ones(1)}, "stranger.weight"),
        ({f"{LAYER}.up": torch.ones(7, RANK)}, f"{LAYER}.up"),
    ],
    ids=["missing", "unexpected", "of another shape"],
)
def test_adapters_that_dont_fit_are_refused_and_nothing_is_changed(stored, definition, base, changes, first):
    network, _ = begin(definition, base, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with safe_open(stored[1], framework="pt") as stream:
        described = stream.metadata()
    state = {name: tensor for name, tensor in {**load_file(stored[1]), **changes}.items() if tensor is not None}
    save_file(state, stored[1], described)
    with pytest.raises(WeightsError, match=rf"don't fit the network: 1 tensors .* \(first: {re.escape(first)}\)"):
        load_adapters(network, stored[1], base)
    assert set(network.state_dict()) == set(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_other_files_are_refused(tmp_path, recipe, base):
    network = build_network(recipe.network)
    save_weights(network, tmp_path / "plain.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match=r"Expected adapters of form 1 in .*plain.safetensors, got other weights"):
        load_adapters(network, tmp_path / "plain.safetensors", base)
    with pytest.raises(WeightsError, match=r"broken.safetensors cannot be read .* store them again"):
        load_adapters(network, tmp_path / "broken.safetensors", base)
