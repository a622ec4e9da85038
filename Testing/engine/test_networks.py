"""The registry of networks, and what its facts say of each, held against the network itself."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from monai.utils import optional_import
from tiny_model import RANDOM_UNET
from tiny_networks import ARGUMENTS, definition

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.networks import (
    NetworkFacts,
    build_network,
    check_window,
    facts_of,
    network_names,
    register_network,
    registry,
)

EACH = [(name, dims) for name in ARGUMENTS for dims in (2, 3)]
UNUSED = "norm_cross_attn"
"""MONAI's transformers have this layer without using it, unless they attend to a second input."""


@pytest.fixture
def own_registry(monkeypatch):
    """What the test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


def smallest_window(facts: NetworkFacts) -> tuple[int, ...]:
    """The smallest window that the facts allow; its longest side comes last."""
    *sides, last = facts.size or facts.stride
    return (*sides, last if facts.size else last * facts.deepest)


def a_batch(facts: NetworkFacts, window: tuple[int, ...], channels: int = 1) -> torch.Tensor:
    """One image, or two where batch normalisation is to see more than the one voxel of the deepest level."""
    torch.manual_seed(0)
    return torch.randn(1 if "segmentation" in facts.tasks else 2, channels, *window)


def runs_on(own: dict, window: tuple[int, ...], batch: int = 1) -> bool:
    """Whether the network itself, in training, gives scores; those of a segmentation on the window's grid."""
    facts = facts_of(own)
    try:
        output = build_network(own).train()(torch.zeros(batch, 1, *window))
    except (RuntimeError, ValueError):
        return False
    return facts.tasks == ("classification",) or output.shape[-len(window) :] == window


def used_parameters(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in network.named_parameters() if UNUSED not in name}


def test_a_bundles_definition_is_built():
    network = build_network(RANDOM_UNET)
    assert network(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("os.system", r"'system': expected one of AlexNet, AttentionUnet, .*resnet50\.$"),
        ("monai.networks.nets.DynUnet", r"'DynUnet': expected one of DynUNet, .*AlexNet, "),
        ("ResNet-18", "'ResNet-18': expected one of resnet18, resnet10, "),
    ],
)
def test_an_unknown_name_lists_the_known_ones_and_similar_ones_first(given, known):
    with pytest.raises(ModelError, match=f"Unknown network {known}"):
        build_network({"_target_": given, "command": "true"})


@pytest.mark.parametrize(
    "arguments", [{"spatial_dims": 3}, {"spatial_dims": 3, "channels": [], "strides": []}, {"color": "red"}]
)
def test_wrong_arguments_are_told(arguments):
    with pytest.raises(ModelError, match=r"UNet cannot be built from"):
        build_network({"_target_": "UNet", "in_channels": 1, "out_channels": 2, **arguments})


def test_dimensions_that_a_network_is_not_made_for():
    wrong = {"_target_": "VNet", "spatial_dims": 4}
    for function in (build_network, facts_of):
        with pytest.raises(ModelError, match="VNet is made for 2 or 3 spatial dimensions; its definition says 4"):
            function(wrong)


def test_a_taken_name_is_refused():
    assert "DynUNet" in network_names()
    with pytest.raises(ModelError, match=r"'DynUNet' is registered already"):
        register_network("DynUNet", torch.nn.Identity)


@pytest.mark.parametrize(
    "wanting",
    [
        {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0"},  # MONAI's default is to fetch
        {"_target_": "resnet18", "pretrained": "/tmp/weights.pth"},
        {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 3, "out_channels": 2, "pretrained": True},
    ],
)
def test_no_definition_fetches_weights(wanting, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *args, **options: pytest.fail("a file was read"))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *args, **options: pytest.fail("a download"))
    with pytest.raises(ModelError, match=r'would fetch weights from elsewhere: write "pretrained": false'):
        build_network(wanting)


def test_a_missing_package_is_named(monkeypatch):
    absent, _ = optional_import("no_such_package.layers", name="Rearrange")
    monkeypatch.setattr("monai.networks.blocks.selfattention.Rearrange", absent)
    with pytest.raises(ModelError, match=r"UNETR needs the Python package no_such_package, .* \(pip install no_such"):
        build_network(definition("UNETR", 2))


def test_a_missing_module_is_named(own_registry):
    register_network("Importing", lambda: import_module("no_such_module.part"))
    with pytest.raises(ModelError, match="Importing needs the Python package no_such_module, "):
        build_network({"_target_": "Importing"})


def test_a_package_that_monai_tells_how_to_install():
    with pytest.raises(ModelError, match=r"SwinUNETR needs a Python package that is not installed: .*nvsubquadratic"):
        build_network(definition("SwinUNETR", 2, use_hyena=True))


def test_names_by_task():
    assert {"resnet18", "VGG", "SegResNetMultiTask"} < set(network_names("classification"))
    assert set(network_names("segmentation")) & set(network_names("classification")) == {
        "SegResNetMultiTask",
        "VGGMultiTask",
    }


def test_a_network_without_facts_takes_any_window(own_registry):
    register_network("WithoutFacts", torch.nn.Identity)
    own = {"_target_": "WithoutFacts"}
    assert facts_of(own) == NetworkFacts(spatial_dims=(3,), stride=(1, 1, 1))
    check_window(own, (1, 5, 7))


def test_every_network_has_a_small_definition_here():
    others = {"Threshold", "BrightDark", *network_names("detection")}  # other tests' own; Testing/engine/detection
    assert set(network_names()) - others == set(ARGUMENTS)


@pytest.mark.parametrize(("name", "dims"), EACH)
def test_the_smallest_window_gives_the_documented_scores_and_gradients(name, dims):
    own = definition(name, dims, classes=3, channels=2)
    facts = facts_of(own)
    window = smallest_window(facts)
    check_window(own, window)
    network, image = build_network(own).train(), a_batch(facts, window, channels=2)
    output = network(image)
    scores = output if len(facts.tasks) > 1 else {facts.tasks[0]: output}
    levels = (facts.levels,) if facts.levels > 1 else ()
    expected = {"segmentation": (*levels, 3, *window), "classification": (3,)}
    assert {task: score.shape[1:] for task, score in scores.items()} == {task: expected[task] for task in facts.tasks}
    assert {len(score) for score in scores.values()} == {len(image)}
    sum(score.square().mean() for score in scores.values()).backward()
    assert not [n for n, p in used_parameters(network).items() if p.grad is None or not p.grad.isfinite().all()]


@pytest.mark.parametrize("name", [n for n, d in EACH if d == 2 and facts_of(definition(n, 2)).deepest > 1])
def test_one_voxel_at_the_deepest_level_is_refused_where_the_network_fails(name):
    own = definition(name, 2)
    window = facts_of(own).stride
    with pytest.raises(ModelError, match=f"voxels, not all of them that small, got .*; take {2 * window[0]} x "):
        check_window(own, window)
    assert not runs_on(own, window)


@pytest.mark.parametrize("name", [n for n, d in EACH if d == 2 and facts_of(definition(n, 2)).divisible])
def test_a_window_that_does_not_divide_is_refused_where_the_network_fails(name):
    own = definition(name, 2, **({"img_size": 33} if name == "UNETR" else {}))
    side, other = facts_of(own).stride
    wrong = (2 * side + 1,) * 2
    with pytest.raises(ModelError, match=f"needs windows whose sides are multiples of {side} x {other} voxels"):
        check_window(own, wrong)
    assert not runs_on(own, wrong)


@pytest.mark.parametrize(("name", "side"), [("DenseNet121", 28), ("EfficientNetBN", 31)])
def test_a_window_that_is_too_small_is_refused_where_the_network_fails(name, side):
    own = definition(name, 2)
    with pytest.raises(ModelError, match=f"sides are of at least 32 x 32 voxels, got {side} x 100; take 32 x 100"):
        check_window(own, (side, 100))
    assert not runs_on(own, (side, 100), batch=2)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_encoder_is_all_that_leads_to_the_deepest_level_and_stride_is_how_coarse_that_is(name):
    own = definition(name, 2)
    facts, network = facts_of(own), build_network(own)
    deepest = network.get_submodule(facts.encoder[-1])
    if isinstance(deepest, torch.nn.ModuleList):
        deepest = deepest[-1]
    kept = []
    deepest.register_forward_hook(lambda module, given, features: kept.append(features))
    network(a_batch(facts, (64, 128) if name != "UNETR" else facts.size))
    features = kept[0] if isinstance(kept[0], torch.Tensor) else kept[0][-1 if name == "SwinUNETR" else 0]
    if name == "UNETR":  # (batch, token, width): one token per 16 x 16
        assert features.shape[1] == 2 * 2
    else:
        assert features.shape[2:] == (64 // facts.stride[0], 128 // facts.stride[1])
    features.sum().backward()
    parameters = used_parameters(network)
    reached = {name for name, parameter in parameters.items() if parameter.grad is not None}
    assert reached == {name for name in parameters if facts.in_encoder(name)}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_heads_are_all_whose_shape_depends_on_the_classes(name):
    three, five = (dict(build_network(definition(name, 2, classes=n)).named_parameters()) for n in (3, 5))
    facts = facts_of(definition(name, 2))
    changed = {key for key in three if three[key].shape != five[key].shape}
    assert three.keys() == five.keys()
    assert {head for head in facts.heads if any(replace(facts, heads=(head,)).in_heads(key) for key in changed)} == set(
        facts.heads
    )
    assert all(facts.in_heads(key) for key in changed)
    assert not [key for key in three if facts.in_heads(key) and facts.in_encoder(key)]


def test_parts_end_at_dots():
    facts = NetworkFacts(encoder=("down",), heads=("out",))
    assert facts.in_encoder("down.0.weight")
    assert facts.in_heads("out.weight")
    assert not facts.in_encoder("down_1.weight")
    assert not facts.in_heads("down.out.weight")


@pytest.mark.parametrize(
    ("name", "arguments", "stride"),
    [
        ("DynUNet", {"strides": [[1, 1, 1], [2, 2, 1], 2, [2, 2, 2]]}, (8, 8, 4)),
        ("UNet", {"channels": [4, 8, 8], "strides": [[2, 2, 1], 2, 5]}, (4, 4, 2)),  # MONAI leaves the last one out
        ("AttentionUnet", {"channels": [4, 8], "strides": [3]}, (3, 3, 3)),
        ("SegResNet", {"blocks_down": [1, 1]}, (2, 2, 2)),
        ("resnet10", {"conv1_t_stride": [2, 2, 1]}, (32, 32, 16)),
        ("resnet10", {"no_max_pool": True}, (8, 8, 8)),
        ("VGG", {"widths": [8, 8]}, (4, 4, 4)),
        ("PlainUNet", {"widths": [4, 4, 4, 4]}, (8, 8, 8)),
        ("Inception", {"widths": [16]}, (8, 8, 8)),
        ("DenseNet121", {"block_config": [1, 1]}, (8, 8, 8)),
    ],
)
def test_strides_follow_the_definition(name, arguments, stride):
    assert facts_of(definition(name, 3, **arguments)).stride == stride


def test_divisor_of_a_network_that_takes_odd_sides():
    facts = facts_of({"_target_": "BasicUNet"})
    assert (facts.stride, facts.divisor) == ((16,) * 3, (1,) * 3)
    own = definition("BasicUNet", 2)
    check_window(own, (33, 16))
    assert runs_on(own, (33, 16))


def test_dimensions_are_the_builders_default():
    assert facts_of({"_target_": "EfficientNetBN", "pretrained": False}).spatial_dims == (2,)
    assert facts_of({"_target_": "SegResNet"}).spatial_dims == (3,)
    assert facts_of({"_target_": "resnet18"}).spatial_dims == (3,)


def test_deep_supervision_follows_the_definition():
    assert facts_of(definition("DynUNet", 3)).levels == 3
    assert facts_of(definition("DynUNet", 3, deep_supervision=False)).levels == 1
    assert facts_of({"_target_": "VNet"}).levels == 1


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "UNet lacks 'channels'; add it"),
        ({"channels": 4, "strides": [2]}, "UNet makes no sense: .*len"),
        ({"channels": [4, 8], "strides": [[2, 2]]}, "UNet makes no sense: Sequence must have length 3, got 2"),
        ({"channels": [4, 8], "strides": [0]}, r"UNet makes no sense: its strides come to \(0, 0, 0\)"),
    ],
)
def test_facts_of_an_incomplete_definition(arguments, fault):
    with pytest.raises(ModelError, match=f"The definition of the network {fault}"):
        facts_of({"_target_": "UNet", "spatial_dims": 3, **arguments})


@pytest.mark.parametrize(
    ("window", "advice"),
    [
        ((50, 48, 24), r"multiples of 8 x 8 x 8 voxels.*, got 50 x 48 x 24; take 48 x 48 x 24 or 56 x 48 x 24\.$"),
        ((3, 60, 60), r"take 8 x 56 x 56 or 8 x 64 x 64\.$"),
        ((8, 8, 9), r"take 8 x 8 x 16\.$"),
        ((8, 8, 8), r"take 16 x 16 x 16\.$"),
        ((0, 16, 16), r"take 8 x 16 x 16\.$"),
        ((48, 48), r"DynUNet is 3-D here: expected a window of 3 sides, got 48 x 48\.$"),
    ],
)
def test_a_refusal_names_the_nearest_windows(window, advice):
    with pytest.raises(ModelError, match=advice):
        check_window(definition("DynUNet", 3), window)


def test_a_network_made_for_one_window_takes_no_other():
    own = definition("UNETR", 3, img_size=[32, 32, 16])
    check_window(own, (32, 32, 16))
    with pytest.raises(ModelError, match="UNETR is made for windows of 32 x 32 x 16 voxels, got 32 x 32 x 32; take"):
        check_window(own, [32, 32, 32])
