"""Weights in eight bits: how far they are off, how large they are, and what is refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import definition

from SlicerCNNSegLib.engine.eight_bits import SCALE, expanded, quantised
from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import load_weights, read_weights, save_weights, stored_type


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(definition("DynUNet", 3) | {"filters": [16, 32, 64, 64]})


def channels_of(name, tensor):
    """Output channels first: those of transposed convolutions are the second axis."""
    return (tensor.transpose(0, 1) if "transp_conv" in name else tensor).flatten(1)


def test_no_value_is_off_by_more_than_half_its_channels_scale(network, tmp_path):
    with torch.no_grad():
        network.input_block.conv1.conv.weight[3] *= 100  # one loud channel must not spoil the others
        network.input_block.conv1.conv.weight[5] = 0
    state = network.state_dict()
    save_weights(network, tmp_path / "w", torch.int8)
    found = read_weights(tmp_path / "w")
    names = [name for name in found if state[name].ndim == 5]
    assert len(names) == 20
    for name in names:
        was, now = channels_of(name, state[name]), channels_of(name, found[name])
        largest = was.abs().amax(1)
        error = (was - now).abs().amax(1)
        assert (error <= largest / 127 / 2 * (1 + 1e-4)).all(), name
        assert (error > 0).any(), name
        torch.testing.assert_close(now.abs().amax(1), largest)  # the largest value of a channel stays
    assert not found["input_block.conv1.conv.weight"][5].any()
    assert load_file(tmp_path / "w")["input_block.conv1.conv.weight" + SCALE].flatten()[5] == 1  # not 0, to divide by
    for name in set(found) - set(names):
        assert torch.equal(found[name], state[name]), name


def test_the_file_is_a_quarter_and_fills_the_network(network, tmp_path):
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int8):
        save_weights(network, tmp_path / str(dtype), dtype)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["torch.int8"] < 0.28 * sizes["torch.float32"]
    names = ("float32", "float16", "bfloat16", "int8")
    assert tuple(stored_type(tmp_path / f"torch.{name}") for name in names) == names
    torch.manual_seed(1)
    other = build_network(definition("DynUNet", 3) | {"filters": [16, 32, 64, 64]})
    load_weights(other, tmp_path / "torch.int8")
    assert all(tensor.dtype == torch.float32 for tensor in other.state_dict().values())
    image = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        was, now = network.eval()(image), other.eval()(image)
    # an error of about 1 % in each of 14 layers, independent of one another
    assert 0 < (was - now).std() < 0.05 * was.std()


def test_linear_layers_too_and_layers_that_are_the_network(tmp_path):
    network = torch.nn.ConvTranspose2d(3, 5, 2)
    stored = quantised(network, network.state_dict())
    assert stored["weight"].dtype == torch.int8
    assert stored["weight" + SCALE].shape == (1, 5, 1, 1)
    assert stored["bias"].dtype == torch.float32
    linear = torch.nn.Linear(4, 3)
    assert quantised(linear, linear.state_dict())["weight" + SCALE].shape == (3, 1)


@pytest.mark.parametrize(
    ("scale", "words"),
    [(None, r"its scale \(0,\) does not fit"), (torch.ones(1, 9, 1), r"its scale \(1, 9, 1\) does not fit"),
     (torch.ones(4, 10**4), r"its scale \(4, 10000\) does not fit")],
)  # fmt: skip
def test_a_scale_that_is_missing_or_would_fill_the_memory_is_refused(scale, words, tmp_path):
    state = {"w": torch.ones(4, 1, dtype=torch.int8)} | ({} if scale is None else {"w" + SCALE: scale})
    save_file(state, tmp_path / "w")
    with pytest.raises(WeightsError, match=words):
        expanded(load_file(tmp_path / "w"))
