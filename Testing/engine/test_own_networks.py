"""The networks that are CNNSeg's own code: what MONAI does not have."""

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import SegResNet
from tiny_networks import definition

from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.networks.baselines import VGG, AlexNet, InceptionBlock

OURS = "SlicerCNNSegLib.engine.networks"


def convolution_weights(network: torch.nn.Module) -> int:
    """Weights of the convolutions, without their biases and without normalisation."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.ndim == 4)


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        # torchvision's vgg11: 9 220 480 parameters before its linear layers, 2752 of them biases.
        (VGG, 9_220_480 - 2_752),
        # torchvision's alexnet: 2 469 696, 1152 of them biases.
        (AlexNet, 2_469_696 - 1_152),
    ],
)
def test_convolutions_are_those_of_the_published_networks(network, weights):
    assert convolution_weights(network(spatial_dims=2, in_channels=3, out_channels=1000)) == weights


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("width", [16, 37])
def test_branches_of_an_inception_block_see_1_3_5_and_3_voxels(dims, width):
    block = InceptionBlock(dims, in_channels=2, width=width).eval()
    with torch.no_grad():
        for kernel in (parameter for parameter in block.parameters() if parameter.ndim > 1):
            kernel.fill_(1.0)
    point = torch.zeros(1, 2, *[9] * dims)
    point[(0, 0, *[4] * dims)] = 1.0
    reached = [int((branch(point)[0, 0] > 0).sum()) for branch in block.branches]
    assert reached == [1, 3**dims, 5**dims, 3**dims]
    assert block(point).shape == (1, width, *[9] * dims)


def test_a_classifier_averages_over_space():
    network = build_network(definition("VGG", 2, classes=2)).eval()
    image = torch.randn(1, 1, 64, 64)
    features = network.features(image)
    linear = network.head[-1]
    expected = features.mean(dim=(2, 3)) @ linear.weight.T + linear.bias
    torch.testing.assert_close(network(image), expected)


def test_the_segmentation_of_the_multi_task_network_is_segresnets():
    own = definition("SegResNetMultiTask", 3, classes=4)
    both = build_network(own).eval()
    names = {"_target_", "num_classes"}
    plain = SegResNet(**{key: value for key, value in own.items() if key not in names}).eval()
    plain.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("classifier.")})
    image = torch.randn(2, 1, 16, 16, 8)
    scores = both(image)
    torch.testing.assert_close(scores["segmentation"], plain(image), rtol=0, atol=0)
    deepest = plain.encode(image)[0].mean(dim=(2, 3, 4))
    torch.testing.assert_close(scores["classification"], both.classifier[-1](deepest))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_multi_task_vgg_classifies_what_is_inside_its_outline_and_its_size(dims):
    network = build_network(definition("VGGMultiTask", dims, classes=2)).eval()
    seen = {}
    for name in ("encoder.2", "decoder.1"):
        network.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    image = torch.randn(2, 1, *[16] * dims)
    scores = network(image)
    space = tuple(range(2, 2 + dims))
    share = scores["segmentation"].softmax(1)[:, 1:]
    assert share.shape == (2, 1, *[16] * dims)
    size = share.sum(space)
    within = (seen["decoder.1"] * share).sum(space) / (size + 1)
    described = torch.cat([seen["encoder.2"].mean(space), within, torch.log(size + 1)], dim=1)
    torch.testing.assert_close(scores["classification"], network.classifier(described))
    assert seen["encoder.2"].shape[2:] == (4,) * dims


@pytest.mark.parametrize(
    "target",
    [
        "monai.networks.nets.DynUNet",
        "monai.networks.nets.resnet18",
        "monai.networks.nets.EfficientNetBN",
        f"{OURS}.baselines.AlexNet",
        f"{OURS}.baselines.Inception",
        f"{OURS}.baselines.VGG",
        f"{OURS}.multitask.SegResNetMultiTask",
        f"{OURS}.multitask.VGGMultiTask",
    ],
)
def test_monai_itself_makes_the_network_of_a_definition(target):
    own = definition(target.rpartition(".")[2], 3) | {"_target_": target}
    theirs = ConfigParser({"network": own}).get_parsed_content("network")
    ours = build_network(own)
    assert type(theirs) is type(ours)
    assert theirs.state_dict().keys() == ours.state_dict().keys()
