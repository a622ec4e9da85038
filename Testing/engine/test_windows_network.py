"""Networks made ready for many windows: the same answer, and the original left alone."""

import gc
import weakref

import pytest
import torch
from monai.networks.blocks.convolutions import ResidualUnit
from monai.networks.nets import UNet
from tiny_networks import ARGUMENTS, definition
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from SlicerCNNSegLib.engine.networks import build_network, facts_of
from SlicerCNNSegLib.engine.windows import packing
from SlicerCNNSegLib.engine.windows.eighths import MOST_CHANNELS, in_eighths
from SlicerCNNSegLib.engine.windows.network import CHANNELS_LAST, CONTIGUOUS, FEWEST_CHANNELS, prepared, ready

SEGMENTING = sorted(name for name in ARGUMENTS if facts_of(definition(name, 3)).tasks == ("segmentation",))


def scores_of(network, image, autocast=None):
    with torch.inference_mode(), torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        return network(image)


@pytest.mark.parametrize("name", SEGMENTING)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_network_gives_the_same_scores(name, dims):
    torch.manual_seed(0)
    own = definition(name, dims)
    network, facts = build_network(own).eval(), facts_of(own)
    image = torch.randn(2, 1, *(facts.size or [2 * n for n in facts.stride]))
    expected = scores_of(network, image)
    torch.testing.assert_close(scores_of(prepared(network, None), image), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(scores_of(prepared(network, None, CONTIGUOUS), image), expected, atol=1e-3, rtol=1e-3)
    half = scores_of(prepared(network, torch.bfloat16), image, torch.bfloat16)
    plain = scores_of(network, image, torch.bfloat16)
    spread = (plain - expected).abs().mean()  # what bf16 does to this network anyway
    assert (half - expected).abs().mean() < 1.5 * spread + 1e-3


@pytest.mark.parametrize("channels", [2, FEWEST_CHANNELS, 24])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("size", [(6, 7, 8), (11, 12, 13)])
def test_instance_normalisation_stays_what_it_is(channels, affine, size):
    norm = nn.InstanceNorm3d(channels, eps=1e-3, affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    network = nn.Sequential(nn.Conv3d(1, channels, 1), norm)
    image = 3 + 5 * torch.randn(2, 1, *size)
    ready = prepared(network, None)
    assert not isinstance(ready[1], nn.InstanceNorm3d)
    torch.testing.assert_close(ready(image), network(image), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ready(image[:1]), network(image[:1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 6, 7), (1, 1, 1)])
@pytest.mark.parametrize("classes", [1, MOST_CHANNELS])
def test_a_transposed_convolution_to_few_channels_stays_what_it_is(bias, size, classes):
    network = nn.Sequential(nn.ConvTranspose3d(5, classes, 3, 2, 1, 1, bias=bias))
    image = torch.randn(2, 5, *size)
    ready = prepared(network, None)
    assert not any(isinstance(module, nn.ConvTranspose3d) for module in ready.modules())
    torch.testing.assert_close(ready(image), network(image), atol=1e-5, rtol=1e-5)


def up(classes):
    return nn.ConvTranspose3d(5, classes, 3, 2, 1, 1)


def drawn_anew(network):
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.mark.parametrize("size", [(4, 6, 7), (2, 1, 3)])
@pytest.mark.parametrize("classes", [1, 2, MOST_CHANNELS])
@pytest.mark.parametrize(
    "rest",
    [
        lambda n: [nn.Conv3d(n, 3, 3, padding=1), nn.Conv3d(3, 2, 1, bias=False)],
        lambda n: [nn.InstanceNorm3d(n, affine=True), nn.PReLU(), nn.Conv3d(n, n, 3, padding=1, bias=False)],
        lambda n: [
            nn.Sequential(nn.InstanceNorm3d(n), nn.Dropout3d(0.5), nn.LeakyReLU()),
            nn.Conv3d(n, 4, 3, padding=1),
        ],
        lambda n: [nn.Conv3d(n, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.Conv3d(4, 2, 3, padding=1), nn.PReLU()],
        lambda n: [ResidualUnit(3, n, n, subunits=1, last_conv_only=True)],
        lambda n: [ResidualUnit(3, n, 3, subunits=1, last_conv_only=True, bias=False)],
        lambda n: [ResidualUnit(3, n, n, subunits=1), nn.Conv3d(n, 2, 1)],
        lambda n: [ResidualUnit(3, n, 3, subunits=2)],
    ],
)
def test_what_follows_it_stays_what_it_is(rest, classes, size):
    network = drawn_anew(nn.Sequential(up(classes), *rest(classes)))
    image = torch.randn(2, 5, *size)
    with torch.inference_mode():
        ready, expected = in_eighths(network), network(image)
        assert ready is not None
        found = ready(image)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(2, 2, 3, padding=1, dilation=2),
        nn.Conv3d(2, 2, 3),
        nn.Conv3d(2, 2, 3, stride=2, padding=1),
        nn.Conv3d(2, 2, 3, padding=1, groups=2),
        nn.Conv3d(2, 2, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(2, MOST_CHANNELS + 1, 3, padding=1),
        nn.PReLU(2),
        nn.InstanceNorm3d(2, track_running_stats=True),
        nn.Softmax(1),
    ],
)
def test_of_a_sequence_that_cannot_follow_the_first_layer_alone_is_replaced(layer):
    network = drawn_anew(nn.Sequential(nn.Sequential(up(2), layer), nn.Identity()))
    assert in_eighths(network[0]) is None
    ready, image = prepared(network, None), torch.randn(1, 5, 4, 6, 7)
    assert not any(isinstance(module, nn.ConvTranspose3d) for module in ready.modules())
    torch.testing.assert_close(ready(image), network(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("units", [0, 2])
def test_monais_unet_has_its_last_level_in_eighths(units, monkeypatch):
    monkeypatch.setattr(packing, "CALLS", ("_convolution_of_tomorrow",))  # convolutions can be looked at
    network = drawn_anew(UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=units))
    ready, image = prepared(network, None), torch.randn(1, 1, 8, 12, 16)
    last = list(ready.model[2].modules())
    assert not any(isinstance(module, nn.ConvTranspose3d) for module in last)
    assert {module.out_channels for module in last if isinstance(module, nn.Conv3d)} == {2 * 8}
    torch.testing.assert_close(scores_of(ready, image), scores_of(network, image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose3d(5, MOST_CHANNELS + 1, 3, 2, 1, 1),
        nn.ConvTranspose3d(5, 2, 2, 2),
        nn.ConvTranspose3d(5, 2, 3, 2, 1, 0),
        nn.ConvTranspose3d(4, 2, 3, 2, 1, 1, groups=2),
        nn.ConvTranspose2d(5, 2, 3, 2, 1, 1),
    ],
)
def test_other_transposed_convolutions_are_left(layer):
    assert in_eighths(layer) is None
    image = torch.randn(1, layer.in_channels, *(4, 6, 8)[: len(layer.kernel_size)])
    with torch.inference_mode():
        torch.testing.assert_close(prepared(nn.Sequential(layer), None)(image), layer(image), atol=1e-5, rtol=1e-5)


def test_instance_normalisation_with_running_statistics_is_left():
    network = nn.Sequential(nn.Conv3d(1, 8, 1), nn.InstanceNorm3d(8, track_running_stats=True)).eval()
    assert isinstance(prepared(network, None)[1], nn.InstanceNorm3d)


def with_statistics(network):
    """As after a training: batch normalisations that shift and scale."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) and module.track_running_stats:
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 3)
    return drawn_anew(network)


def batch_norms(network):
    return [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]


class Twice(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.first, self.second = layer, layer

    def forward(self, image):
        return self.second(self.first(image))


CONVOLUTION, NORM, ACTIVATION = nn.Conv3d(3, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU()
ACTIVATED = nn.Sequential(nn.BatchNorm3d(3), ACTIVATION)


@pytest.mark.parametrize(
    ("network", "left"),
    [
        (nn.Sequential(CONVOLUTION, NORM), 0),
        (nn.Sequential(nn.Conv3d(3, 4, 1, bias=False), nn.BatchNorm3d(4, affine=False)), 0),
        (nn.Sequential(nn.Conv3d(3, 6, 3, groups=3), nn.Dropout3d(0.3), nn.BatchNorm3d(6), nn.ReLU()), 0),
        (nn.Sequential(nn.ConvTranspose3d(3, 5, 2, 2), nn.BatchNorm3d(5)), 0),
        (nn.Sequential(nn.ConvTranspose3d(3, 2, 3, 2, 1, 1), nn.BatchNorm3d(2), nn.Conv3d(2, 2, 3, padding=1)), 0),
        (nn.Sequential(nn.Sequential(CONVOLUTION), nn.Sequential(NORM, nn.PReLU())), 0),
        (Twice(nn.Sequential(CONVOLUTION, NORM)), 1),
        (nn.Sequential(NORM, CONVOLUTION), 1),
        (nn.Sequential(CONVOLUTION, nn.ReLU(), NORM), 1),
        (nn.Sequential(CONVOLUTION, NORM, CONVOLUTION), 1),  # what it does elsewhere is to stay
        (nn.Sequential(CONVOLUTION, NORM, nn.ReLU(), NORM), 1),
        (nn.Sequential(nn.Conv3d(3, 3, 1), nn.Sequential(NORM), nn.Conv3d(3, 3, 1), ACTIVATED), 0),
        (nn.Sequential(nn.Conv3d(3, 3, 1), ACTIVATED, nn.Conv3d(3, 3, 1), ACTIVATED), 1),
        (nn.Sequential(ACTIVATION, CONVOLUTION, ACTIVATION, NORM), 1),
        (nn.Sequential(nn.ConvTranspose3d(3, 6, 2, 2, groups=3), nn.BatchNorm3d(6)), 1),
        (nn.Sequential(CONVOLUTION, nn.BatchNorm3d(3, track_running_stats=False)), 1),
        (nn.ModuleList([CONVOLUTION, NORM]), 1),
    ],
)
def test_batch_normalisation_is_folded_where_it_follows_a_convolution(network, left):
    network = with_statistics(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ready = prepared(network, None)
    assert len([m for m in ready.modules() if isinstance(m, nn.BatchNorm3d)]) == left
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    if not isinstance(network, nn.ModuleList):
        image = torch.randn(2, 3, 6, 5, 4)
        with torch.inference_mode():
            torch.testing.assert_close(ready(image), network(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_monais_unet_with_batch_normalisation_is_without_it(dims):
    network = with_statistics(UNet(dims, 1, 2, (4, 8, 16), (2, 2), num_res_units=2, norm="batch"))
    ready, image = prepared(network, None), torch.randn(2, 1, *(8, 12, 16)[:dims])
    assert batch_norms(network)
    assert batch_norms(ready) == []
    with torch.inference_mode():
        torch.testing.assert_close(ready(image), network(image), atol=1e-3, rtol=1e-3)


def test_batch_normalisation_in_training_is_left():
    network = nn.Sequential(nn.Conv3d(1, 16, 3), nn.BatchNorm3d(16))
    assert batch_norms(prepared(network, None)) == ["1"]


def test_torchscript_is_left():
    network = torch.jit.trace(nn.Conv3d(1, 2, 3), torch.zeros(1, 1, 4, 4, 4))
    assert prepared(network, torch.bfloat16) is network


def test_a_network_in_training_is_left_alone_and_shares_its_other_weights():
    network = nn.Sequential(nn.Conv3d(1, 8, 3), nn.InstanceNorm3d(8, affine=True), nn.Linear(4, 4))
    before = [(name, value.dtype, value.stride(), value.data_ptr()) for name, value in network.named_parameters()]
    ready = prepared(network, torch.bfloat16)
    after = [(name, value.dtype, value.stride(), value.data_ptr()) for name, value in network.named_parameters()]
    assert before == after
    assert isinstance(network[1], nn.InstanceNorm3d)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert ready[1].weight is network[1].weight
    assert ready[2].weight is network[2].weight


def test_where_nothing_is_packed_weights_lie_as_the_layout_says(monkeypatch):
    monkeypatch.setattr(packing, "CALLS", ("_convolution_of_tomorrow",))
    network = nn.Sequential(nn.Conv3d(3, 8, 3), nn.Conv2d(3, 8, 3))
    for layout, formats in (
        (CHANNELS_LAST, (torch.channels_last_3d, torch.channels_last)),
        (CONTIGUOUS, (torch.contiguous_format, torch.contiguous_format)),
    ):
        ready = prepared(network, torch.bfloat16, layout)
        assert [one.weight.dtype for one in ready] == [torch.bfloat16] * 2
        assert all(one.weight.is_contiguous(memory_format=at) for one, at in zip(ready, formats, strict=True))


@pytest.mark.parametrize("norm", [nn.InstanceNorm3d(16), nn.BatchNorm3d(16)])
def test_weights_that_are_worked_out_at_each_use_are_left(norm):
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    network = with_statistics(nn.Sequential(nn.Conv3d(1, 16, 3), norm))
    register_parametrization(network[0], "weight", Doubled())
    image = torch.randn(1, 1, 14, 14, 14)
    torch.testing.assert_close(prepared(network, None)(image), network(image), atol=1e-5, rtol=1e-4)


def test_transformers_are_left():
    network = nn.Sequential(nn.Conv3d(1, 16, 3), nn.LayerNorm(4))
    assert prepared(network, torch.bfloat16) is network


def test_a_network_that_stays_what_it_is_is_made_ready_once_and_kept_no_longer_than_itself():
    network = nn.Sequential(nn.Conv3d(1, 16, 3), nn.BatchNorm3d(16)).eval()
    first = ready(network, torch.bfloat16)
    assert batch_norms(first) == []
    assert ready(network, torch.bfloat16) is first
    others = [ready(network, None), ready(network, torch.bfloat16, CONTIGUOUS), ready(nn.Sequential(network), None)]
    assert len({id(one) for one in (first, *others)}) == 4
    gone = weakref.ref(network)
    del network, first, others
    gc.collect()
    assert gone() is None


def test_a_network_that_is_made_ready_as_it_is_is_kept_no_longer_than_itself():
    network = nn.Sequential(nn.Conv3d(1, 16, 3), nn.LayerNorm(4))
    assert ready(network, None) is network
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
