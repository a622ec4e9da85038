"""What is built without torchvision is what MONAI builds with it: names, shapes and numbers.

``EXPECTED`` was made by MONAI 1.6.1 with torchvision 0.28.0, with ``numbers``; where torchvision is installed,
the two are compared directly.
"""

import zlib

import numpy as np
import pytest
import torch
from monai.apps.detection.networks import retinanet_network
from monai.networks.nets import resnet
from monai.networks.nets.torchvision_fc import TorchVisionFCModel

from SlicerCNNSegLib.engine.configs import stand_ins

PUBLISHED_INCEPTION = 27_161_264
"""Parameters that torchvision tells of its inception_v3, with a last layer of 1000 classes."""

EXPECTED = {
    "published levels": [
        0.7144325,
        0.7532672,
        -0.3100376,
        0.5873304,
        0.672349,
        -0.4619674,
        0.4331774,
        0.5660012,
        0.3697599,
        0.3781684,
        0.8830959,
        0.01212206,
        0.4025446,
        0.7719016,
        0.1159991,
        0.4543831,
        0.5336811,
        -0.5254441,
    ],
    "three levels, no maximum": [
        0.6835851,
        0.7209838,
        -0.2937603,
        0.5526894,
        0.6838147,
        -0.4470128,
        0.4267253,
        0.5688004,
        0.2997317,
        0.6379677,
        0.07582262,
        0.5869822,
        0.385755,
        0.8639059,
        0.011921,
        0.4139378,
        0.7609635,
        0.1392631,
        0.4665315,
        0.5331991,
        -0.2803325,
        0.4968872,
        0.1861873,
        0.07658064,
    ],
    "inception False": [0.3716412, 0.2679445, 0.3768017],
    "inception True": [0.3713792, 0.2679286, 0.3753953],
}


def filled(network):
    """The network with weights that depend on their names alone."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            if tensor.dtype.is_floating_point:
                noise = torch.randn(tensor.shape, generator=generator)
                if name.endswith("running_var"):
                    noise = noise.abs() + 0.5
                tensor.copy_(noise * (2 / max(1, tensor[0].numel())) ** 0.5 if tensor.ndim > 1 else noise * 0.1 + 0.5)
    return network.eval()


def pyramid(make, levels, **options):
    backbone = resnet.resnet10(
        spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1], conv1_t_size=[7, 7, 7], **options
    )
    return filled(retinanet_network.RetinaNet(3, 1, 3, make(backbone, 3, False, levels, None), [16, 16, 8]))


def numbers(network, image):
    """A few numbers of what a network gives."""
    with torch.no_grad():
        found = network(image)
    maps = [one for key in found for one in found[key]] if isinstance(found, dict) else [found]
    return [float(number) for one in maps for number in (one.double().mean(), one.double().std(), one.flatten()[0])]


def image_of(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


SMALL = {"widen_factor": 0.125}
PYRAMIDS = {
    "published levels": lambda make: pyramid(make, [1, 2], **SMALL),
    "three levels, no maximum": lambda make: pyramid(make, [1, 2, 3], no_max_pool=True, **SMALL),
}


def inception(make, **options):
    return filled(make("inception_v3", num_classes=4, pool=None, use_conv=False, bias=True, **options))


@pytest.mark.parametrize("name", PYRAMIDS)
def test_a_pyramid_gives_what_monai_gives(name):
    network = PYRAMIDS[name](stand_ins.resnet_fpn_feature_extractor)
    assert numbers(network, image_of(1, 1, 32, 32, 16)) == pytest.approx(EXPECTED[name], rel=2e-5)


@pytest.mark.parametrize("pretrained", [False, True])
def test_inception_gives_what_torchvision_gives(pretrained):
    network = inception(stand_ins.TorchVisionFCModel, pretrained=pretrained)
    assert numbers(network, 10 * image_of(1, 3, 299, 299)) == pytest.approx(
        EXPECTED[f"inception {pretrained}"], rel=2e-5
    )


def test_inception_has_as_many_weights_as_torchvision_tells():
    network = stand_ins.TorchVisionFCModel("inception_v3", num_classes=1000, pool=None)
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED_INCEPTION
    without = stand_ins.TorchVisionFCModel("inception_v3", num_classes=1000, pool=None, aux_logits=False)
    assert {name.split(".")[1] for name in set(network.state_dict()) - set(without.state_dict())} == {"AuxLogits"}


@pytest.mark.parametrize("name", PYRAMIDS)
def test_a_pyramid_beside_monais(name):
    pytest.importorskip("torchvision", reason="MONAI's detection needs torchvision")
    ours, theirs = (
        PYRAMIDS[name](make)
        for make in (stand_ins.resnet_fpn_feature_extractor, retinanet_network.resnet_fpn_feature_extractor)
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    image = image_of(1, 1, 32, 32, 16)
    np.testing.assert_array_equal(numbers(ours, image), numbers(theirs, image))


def test_inception_beside_torchvisions():
    pytest.importorskip("torchvision", reason="MONAI's TorchVisionFCModel needs torchvision")
    ours, theirs = (inception(make) for make in (stand_ins.TorchVisionFCModel, TorchVisionFCModel))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    image = 10 * image_of(1, 3, 299, 299)
    np.testing.assert_array_equal(numbers(ours, image), numbers(theirs, image))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": "resnet50", "pool": None}, "only inception_v3 .* got resnet50"),
        ({"model_name": "inception_v3"}, "got inception_v3 with pool .'avg'"),
        ({"model_name": "inception_v3", "pool": None, "use_conv": True}, "without use_conv is built here"),
    ],
)
def test_other_networks_of_torchvision_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        stand_ins.TorchVisionFCModel(**arguments)


@pytest.mark.parametrize("levels", [[], [0, 1], [5]])
def test_levels_that_are_not_there_are_told(levels):
    with pytest.raises(ValueError, match="expected levels from 1 to 4"):
        pyramid(stand_ins.resnet_fpn_feature_extractor, levels, **SMALL)


def test_another_backbone_is_told():
    with pytest.raises(ValueError, match="expected a residual network of MONAI's, got a Identity"):
        stand_ins.resnet_fpn_feature_extractor(torch.nn.Identity(), 3)
