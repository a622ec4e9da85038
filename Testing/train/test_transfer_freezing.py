"""A frozen encoder stays as it is, bit by bit; a slow one gets its share of the rate."""

from copy import deepcopy

import pytest
import torch
from torch.nn.functional import mse_loss

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.recipe import Start
from SlicerCNNSegTrainLib.engine.transfer.adapters import add_adapters
from SlicerCNNSegTrainLib.engine.transfer.freezing import parameter_groups, set_training

ENCODER = ("input_block", "downsamples", "bottleneck")
FROZEN, SLOW = Start("other", freeze="encoder"), Start("other", encoder_rate=0.1)
FIRST = "input_block.conv1.conv.weight"


@pytest.fixture
def definition(recipe):
    """With batch normalisation, which has both weights and statistics."""
    return {**recipe.network, "norm_name": "batch"}


@pytest.fixture
def network(definition):
    torch.manual_seed(0)
    return build_network(definition)


def in_encoder(name):
    return name.startswith(ENCODER)


def take_steps(network, groups, start, steps=3):
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        set_training(network, ENCODER, start)
        image = torch.randn(2, 1, 8, 8, 8, generator=generator)
        loss = mse_loss(network(image), torch.zeros(()).expand(2, 2, 2, 8, 8, 8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_frozen_encoder_is_bit_identical_after_steps(network):
    before = deepcopy(network.state_dict())
    groups = parameter_groups(network, ENCODER, FROZEN)
    take_steps(network, groups, FROZEN)
    first_names = {name for name, _ in network.named_parameters()} | {name for name, _ in network.named_buffers()}
    changed = {name for name in first_names if not torch.equal(before[name], network.state_dict()[name])}
    assert {name for name in first_names if not in_encoder(name)} == changed
    # its normalisation layers have statistics, which would have changed
    assert any(name.endswith("running_mean") and in_encoder(name) for name in first_names)


def test_a_frozen_encoder_takes_no_part_in_optimizing(network):
    groups = parameter_groups(network, ENCODER, FROZEN)
    rest = {id(p) for name, p in network.named_parameters() if not in_encoder(name)}
    assert [group["rate_share"] for group in groups] == [1.0]
    assert {id(p) for p in groups[0]["params"]} == rest
    assert all(p.requires_grad != in_encoder(name) for name, p in network.named_parameters())


def test_a_slow_encoder_gets_its_share_of_the_rate(network):
    groups = {
        group["rate_share"]: {id(p) for p in group["params"]} for group in parameter_groups(network, ENCODER, SLOW)
    }
    named = dict(network.named_parameters())
    assert groups == {
        1.0: {id(p) for name, p in named.items() if not in_encoder(name)},
        0.1: {id(p) for name, p in named.items() if in_encoder(name)},
    }
    set_training(network, ENCODER, SLOW)
    assert all(part.training for part in network.modules())


@pytest.mark.parametrize("prefixes", [ENCODER, ()])
def test_without_either_all_learns_at_one_rate(network, prefixes):
    [group] = parameter_groups(network, prefixes, Start("other"))
    assert group["rate_share"] == 1.0
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


def test_a_shared_module_belongs_to_the_encoder_under_any_of_its_names(network):
    # MONAI's DynUNet reaches its input block as skip_layers.downsample, too
    parameter_groups(network, ("skip_layers.downsample",), FROZEN)
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in network.named_parameters() if name.startswith("input_block.")}
    set_training(network, ("skip_layers.downsample",), FROZEN)
    assert not network.input_block.conv1.training
    assert network.downsamples[0].training


@pytest.mark.parametrize("start", [FROZEN, SLOW])
def test_what_came_without_weights_learns_at_the_full_rate(network, start):
    groups = parameter_groups(network, ENCODER, start, fresh=[FIRST])
    full = next(group for group in groups if group["rate_share"] == 1.0)
    assert any(p is network.get_parameter(FIRST) for p in full["params"])
    assert network.get_parameter(FIRST).requires_grad


def test_adapters_of_a_frozen_encoder_are_frozen_too(network):
    add_adapters(network, 1)
    groups = parameter_groups(network, ENCODER, FROZEN)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert sum(len(group["params"]) for group in groups) == len(trained)
    assert trained
    assert not any(map(in_encoder, trained))


def test_a_name_is_not_the_beginning_of_a_word(network):
    with pytest.raises(SettingsError, match=r"but in DynUNet nothing in it is named input, down; train all of it"):
        parameter_groups(network, ("input", "down", "bottleneck"), FROZEN)


def test_an_unknown_encoder_is_told(network):
    with pytest.raises(SettingsError, match=r"encoder is known .* in DynUNet nobody said which part that is"):
        parameter_groups(network, (), SLOW)


def test_nothing_left_to_learn_is_told():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(SettingsError, match=r"Nothing is left to learn .* set start.freeze to ''"):
        parameter_groups(network, ("0",), FROZEN)
