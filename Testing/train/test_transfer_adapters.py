"""Low-rank adapters: what they are, what learns, and that folding them in changes nothing."""

import json
from copy import deepcopy

import pytest
import torch
from torch.nn.functional import conv3d, conv_transpose3d

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.recipe import RECIPES
from SlicerCNNSegTrainLib.engine.transfer.adapters import (
    DOWN,
    NORMALISATION,
    UP,
    adapter_state,
    add_adapters,
    learned_names,
    merge_adapters,
    merged_state,
)

HEAD = "output_block.conv.conv.weight"


def adapted(definition, rank=2, fresh=(), spread=0.1):
    """A network with adapters that have learned something."""
    torch.manual_seed(0)
    network = build_network(definition)
    add_adapters(network, rank, fresh, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(UP):
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture
def image():
    return torch.randn(2, 1, 16, 16, 12, generator=torch.Generator().manual_seed(3))


def output(network, image):
    with torch.no_grad():
        return network(image)


def test_at_first_nothing_is_changed(recipe, image):
    torch.manual_seed(0)
    network = build_network(recipe.network).eval()
    before = output(network, image)
    add_adapters(network, 2)
    assert torch.equal(output(network, image), before)


def test_a_convolution_is_adapted_by_two_in_a_row():
    layer = torch.nn.Conv3d(4, 8, 3, stride=2, padding=1, bias=False)
    image, before = torch.randn(1, 4, 9, 8, 7), layer.weight.detach().clone()
    add_adapters(layer, 2)
    low = layer.parametrizations.weight[0]
    torch.nn.init.normal_(low.up)
    down, up = low.down.view(2, 4, 3, 3, 3), low.up.view(8, 2, 1, 1, 1)
    expected = conv3d(image, before, stride=2, padding=1) + conv3d(conv3d(image, down, stride=2, padding=1), up)
    torch.testing.assert_close(layer(image), expected, rtol=1e-4, atol=1e-4)


def test_a_transposed_convolution_is_adapted_by_two_in_a_row():
    layer = torch.nn.ConvTranspose3d(8, 4, 2, stride=2, bias=False)
    image, before = torch.randn(1, 8, 3, 4, 5), layer.weight.detach().clone()
    add_adapters(layer, 2)
    low = layer.parametrizations.weight[0]
    torch.nn.init.normal_(low.up)
    up, down = low.up.T.reshape(2, 8, 1, 1, 1), low.down.view(2, 4, 2, 2, 2)
    expected = conv_transpose3d(image, before, stride=2) + conv_transpose3d(conv3d(image, up), down, stride=2)
    torch.testing.assert_close(layer(image), expected, rtol=1e-4, atol=1e-4)


def test_what_learns(recipe):
    network = adapted({**recipe.network, "norm_name": ("batch", {"affine": True})}, fresh=[HEAD])
    learns = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    norms = {
        f"{name}.{own}"
        for name, part in network.named_modules()
        if isinstance(part, NORMALISATION)
        for own, _ in part.named_parameters()
    }
    low = {name for name, _ in network.named_parameters() if name.endswith((UP, DOWN))}
    assert norms
    # rank 2 of the deep head's (2, 12) matrix would have 28 numbers instead of 24: it learns itself, with its bias
    deep_head = {f"deep_supervision_heads.0.conv.conv.{part}" for part in ("weight", "bias")}
    assert learns == norms | low | deep_head | {HEAD}
    layers = [part for part in network.modules() if isinstance(part, torch.nn.Conv3d | torch.nn.ConvTranspose3d)]
    assert len(low) == 2 * (len(layers) - 2)


def test_only_what_learns_is_changed_by_steps(recipe, image):
    network = adapted(recipe.network).train()
    before = deepcopy(network.state_dict())
    optimizer = torch.optim.AdamW((p for p in network.parameters() if p.requires_grad), lr=0.01, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(image).square().mean().backward()
        optimizer.step()
    for name, parameter in network.named_parameters():
        assert torch.equal(before[name], parameter.detach()) != parameter.requires_grad, name


@pytest.mark.parametrize(
    "definition",
    [
        None,
        {
            "_target_": "UNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "channels": [8, 16],
            "strides": [2],
        },
        {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "init_filters": 8},
        {
            "_target_": "UNETR",
            "in_channels": 1,
            "out_channels": 2,
            "img_size": [16, 16, 16],
            "feature_size": 4,
            "hidden_size": 24,
            "mlp_dim": 32,
            "num_heads": 2,
        },
    ],
)
def test_merged_equals_adapted(recipe, image, definition):
    network = adapted(definition or recipe.network)
    image = image if definition is None else torch.nn.functional.pad(image[..., :8], (4, 4))
    expected = output(network, image)
    torch.manual_seed(0)
    plain = build_network(definition or recipe.network).eval()
    assert (output(plain, image) - expected).abs().max() > 1e-3
    plain.load_state_dict(merged_state(network.state_dict()))
    torch.testing.assert_close(output(plain, image), expected, rtol=0, atol=1e-5)
    merge_adapters(network)
    torch.testing.assert_close(output(network, image), expected, rtol=0, atol=1e-5)
    assert set(network.state_dict()) == set(plain.state_dict())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert [type(part) for part in network.modules()] == [type(part) for part in plain.modules()]


def test_merging_a_copy_leaves_the_network_alone(recipe, image):
    # a copy has the same classes, and torch's own way takes from them what the network still needs
    network = adapted(recipe.network)
    expected = output(network, image)
    average = deepcopy(network)
    merge_adapters(average)
    assert torch.equal(output(network, image), expected)
    assert torch.equal(output(average, image), expected)
    merge_adapters(network)
    assert torch.equal(output(network, image), expected)


def test_the_update_is_computed_in_full_precision_under_autocast(recipe):
    layer = torch.nn.Linear(64, 64)
    add_adapters(layer, 4)
    torch.nn.init.normal_(layer.parametrizations.weight[0].up)
    expected = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, expected)


def test_shared_tensors_are_merged_once(recipe):
    state = merged_state(adapted(recipe.network).state_dict())
    pairs = ("input_block.conv2.conv.weight", "skip_layers.downsample.conv2.conv.weight")
    assert state[pairs[0]] is state[pairs[1]]


def test_a_plain_state_is_merged_into_itself(recipe):
    state = build_network(recipe.network).state_dict()
    merged = merged_state(state)
    assert list(merged) == list(state)
    assert all(merged[name] is state[name] for name in state)


def test_the_first_values_follow_from_the_generator(recipe):
    states = []
    for place, seed in enumerate((1, 1, 2)):
        torch.manual_seed(0)
        network = build_network(recipe.network)
        torch.manual_seed(place)
        add_adapters(network, 2, generator=torch.Generator().manual_seed(seed))
        states.append({name: tensor for name, tensor in network.named_parameters() if name.endswith(DOWN)})
    name = min(states[0])
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])


def test_the_state_holds_what_differs_from_the_network_below(recipe, image):
    network = adapted(recipe.network, fresh=[HEAD])
    torch.manual_seed(0)
    below = build_network(recipe.network).eval()
    with torch.no_grad():
        network.get_parameter(HEAD).add_(1)
    state = adapter_state(network)
    assert HEAD in state
    add_adapters(below, 2, fresh=[HEAD])
    assert set(below.load_state_dict(state, strict=False).unexpected_keys) == set()
    assert torch.equal(output(below, image), output(network, image))


def test_an_averages_state_is_named_by_the_network_that_learns(recipe):
    network = adapted(recipe.network, fresh=[HEAD])
    average = deepcopy(network).requires_grad_(False)
    low = {name for name, _ in network.named_parameters() if name.endswith((UP, DOWN))}
    assert set(adapter_state(average)) == low  # a frozen adapter is kept, too
    assert set(adapter_state(average, learned_names(network))) == set(adapter_state(network))


def test_the_hippocampus_models_adapters_are_a_small_part_of_it():
    definition = json.loads((RECIPES / "hippocampus-mr.json").read_text(encoding="utf-8"))["network"]
    network = build_network(definition)
    whole = sum(parameter.numel() for parameter in network.parameters())
    add_adapters(network, 4)
    assert sum(tensor.numel() for tensor in adapter_state(network).values()) < 0.05 * whole


def test_a_rank_of_zero_is_refused(recipe):
    with pytest.raises(SettingsError, match=r"Expected an adapter_rank of 1 or more .* got 0"):
        add_adapters(build_network(recipe.network), 0)
