"""Packed convolutions: what plain ones, activations and sums give, and where they are."""

from types import SimpleNamespace

import pytest
import torch
from monai.networks.blocks.convolutions import ResidualUnit
from torch import nn

from SlicerCNNSegLib.engine.windows import packing
from SlicerCNNSegLib.engine.windows.network import CONTIGUOUS, prepared
from SlicerCNNSegLib.engine.windows.packing import MOST_SIZES, can_pack

BF16 = torch.bfloat16

needs_onednn = pytest.mark.skipif(not can_pack(None), reason="this PyTorch is without oneDNN's packed convolutions")


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.modules.conv._ConvNd)]


def packed(network):
    return [module for module in network.modules() if type(module).__name__ == "_Packed"]


def left(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


class Both(nn.Module):
    """The convolution's result is needed twice: an activation behind it must not take part in the second."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv3d(2, 3, 3, padding=1)
        self.sequence = nn.Sequential(self.convolution, nn.ReLU())

    def forward(self, image):
        return self.convolution(image) - self.sequence(image)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv3d(2, 2, 3, padding=1), nn.LeakyReLU(0.3))

    def forward(self, image):
        return self.head(self.head(image))


def prelu(slope):
    return nn.PReLU(init=slope)


@needs_onednn
@pytest.mark.parametrize(
    ("network", "activations"),
    [
        (nn.Sequential(nn.Conv3d(2, 5, 3, padding=1), nn.ReLU()), 0),
        (nn.Sequential(nn.Conv3d(2, 5, (3, 1, 3), stride=(1, 1, 2), bias=False), nn.LeakyReLU(0.2)), 0),
        (nn.Sequential(nn.Conv3d(2, 4, 3, dilation=2), nn.Dropout3d(0.4), prelu(0.3)), 0),
        (nn.Sequential(nn.Conv3d(2, 4, 3), prelu(-0.5)), 0),
        (nn.Sequential(nn.Conv3d(2, 4, 3, groups=2), nn.Identity(), nn.ReLU(inplace=True)), 0),
        (nn.Sequential(nn.Sequential(nn.Conv3d(2, 4, 1)), nn.Sequential(nn.ReLU())), 0),
        (nn.Sequential(nn.ConvTranspose3d(2, 20, 3, 2, 1, 1), nn.LeakyReLU(0.1)), 0),
        (nn.Sequential(nn.ConvTranspose3d(2, 20, 2, 2, bias=False), prelu(0.2)), 0),
        (nn.Sequential(nn.ConvTranspose3d(2, 4, 3, dilation=2), nn.ReLU()), 0),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU(), nn.ReLU(), nn.Conv3d(4, 1, 3)), 1),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.PReLU(4)), 1),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.ELU(), nn.ReLU()), 1),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.InstanceNorm3d(4), nn.ReLU()), 1),
        (nn.Sequential(nn.ReLU(), nn.Conv3d(2, 4, 3)), 1),
        (Both(), 1),
        (Twice(), 0),
    ],
)
def test_convolutions_take_over_the_activation_behind_them(network, activations):
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    network.eval()
    ready, image = prepared(network, None), torch.randn(3, 2, 6, 7, 9)
    before = [module.weight.clone() for module in convolutions(network)]
    with torch.inference_mode():
        for n in (3, 3, 1, 3, 1):
            torch.testing.assert_close(ready(image[:n]), network(image[:n]), atol=1e-5, rtol=1e-5)
    assert convolutions(ready) == []
    assert len(left(ready, nn.ReLU | nn.LeakyReLU | nn.PReLU)) == activations
    assert all(torch.equal(a, module.weight) for a, module in zip(before, convolutions(network), strict=True))


@needs_onednn
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance", None])
@pytest.mark.parametrize(("outputs", "strides"), [(4, 1), (6, 1), (6, 2)])
def test_residual_units_are_added_up_on_the_way(dims, norm, outputs, strides):
    network = nn.Sequential(ResidualUnit(dims, 4, outputs, strides, norm=norm)).eval()
    ready, image = prepared(network, None), torch.randn(2, 4, *(8, 10, 6)[:dims])
    with torch.inference_mode():
        torch.testing.assert_close(ready(image), network(image), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ready(image), network(image), atol=1e-5, rtol=1e-4)  # the image is as it was
    summed = [type(module).__name__ for module in ready.modules()].count("_Sum")
    assert summed == (0 if outputs == 4 and strides == 1 else 1)


@needs_onednn
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(2, 3, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(2, 3, 3, padding="same"),
        nn.ConvTranspose3d(2, 4, 3, groups=2),
        nn.Conv1d(6, 3, 3),
    ],
)
def test_other_convolutions_are_left(layer):
    ready = prepared(nn.Sequential(layer, nn.ReLU()), None)
    assert convolutions(ready)
    assert not packed(ready)
    assert isinstance(ready[1], nn.ReLU)


@needs_onednn
def test_weights_are_packed_for_each_size_and_for_few():
    ready = prepared(nn.Sequential(nn.Conv3d(32, 32, 3, padding=1)), None)
    image = torch.randn(2, 32, 6, 7, 8)
    with torch.inference_mode():
        (layer,) = packed(ready)
        for n in (2, 1, 2):
            ready(image[:n])
        assert [tuple(size) for size in layer.weights] == [(2, 32, 6, 7, 8), (1, 32, 6, 7, 8)]
        assert all(weight.is_mkldnn for weight in layer.weights.values())
        for n in range(8):
            ready(image[..., n:])
            assert len(layer.weights) <= MOST_SIZES


@needs_onednn
def test_one_layer_in_two_places_is_packed_once():
    layer = nn.Conv3d(2, 2, 3, padding=1)
    ready = prepared(nn.ModuleList([nn.Sequential(layer), nn.Sequential(layer, nn.ReLU())]), None)
    assert ready[0][0] is ready[1][0]
    assert len(packed(ready)) == 1
    assert isinstance(ready[1][1], nn.ReLU)


@needs_onednn
@pytest.mark.skipif(not can_pack(BF16), reason="this processor has no bfloat16 in oneDNN")
def test_in_bf16_images_of_any_type_and_layout_are_taken():
    network = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.PReLU(), nn.Conv3d(8, 2, 1)).eval()
    ready, image = prepared(network, BF16), torch.randn(2, 3, 5, 6, 7)
    with torch.inference_mode(), torch.autocast("cpu", BF16):
        expected, found = network(image), ready(image)
        assert found.dtype == BF16
        assert found.is_contiguous(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)
        last = image.to(BF16, memory_format=torch.channels_last_3d)
        torch.testing.assert_close(ready(last), found, atol=0, rtol=0)
        torch.testing.assert_close(ready(image.transpose(2, 4).contiguous().transpose(2, 4)), found, atol=0, rtol=0)


def test_without_onednns_calls_convolutions_stay(monkeypatch):
    monkeypatch.setattr(packing, "CALLS", ("_convolution_of_tomorrow",))
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU())
    assert not can_pack(None)
    assert isinstance(prepared(network, None)[0], nn.Conv3d)


@pytest.mark.parametrize("fault", ["wrong", "refused"])
def test_where_onednns_calls_do_not_work_convolutions_stay(monkeypatch, fault):
    def call(image, *_):
        if fault == "refused":
            raise RuntimeError("bf16 path needs the cpu support avx512bw")
        return torch.zeros(len(image), 3, *image.shape[2:])

    monkeypatch.setattr(packing, "ONEDNN", SimpleNamespace(**dict.fromkeys(packing.CALLS, call)))
    packing._works.cache_clear()
    try:
        assert not can_pack(torch.float32)
        assert not packed(prepared(nn.Sequential(nn.Conv3d(1, 2, 3)), None))
    finally:
        packing._works.cache_clear()


def test_other_types_and_the_plain_layout_are_not_packed():
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU())
    assert not can_pack(torch.float16)
    assert not packed(prepared(network, None, CONTIGUOUS))


@needs_onednn
def test_the_network_keeps_its_weights_and_shares_them():
    network = nn.Sequential(nn.Conv3d(1, 8, 3), nn.ReLU())
    before = network[0].weight.detach().clone()
    ready = prepared(network, BF16 if can_pack(BF16) else None)
    with torch.inference_mode():
        ready(torch.randn(1, 1, 5, 6, 7))
    assert ready[0].weight is network[0].weight
    assert network[0].weight.requires_grad
    assert network[0].weight.dtype == torch.float32
    torch.testing.assert_close(network[0].weight.detach(), before, atol=0, rtol=0)


@needs_onednn
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_may_be_of_another_type_and_layout(layout, dtype):
    (layer,) = packed(prepared(nn.Sequential(nn.Conv3d(2, 3, 1)), None))
    image, other = torch.randn(1, 2, 4, 5, 6), torch.randn(1, 3, 4, 5, 6).to(dtype, memory_format=layout)
    with torch.inference_mode():
        expected = other + layer(image)
        found = layer.added_to(other, image)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@needs_onednn
def test_the_calls_can_be_tried_where_autocast_is_on():
    packing._works.cache_clear()
    with torch.autocast("cpu", BF16):
        assert can_pack(None)
