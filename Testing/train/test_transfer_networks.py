"""Every registered network can be started from another one of its kind, adapted and frozen."""

from copy import deepcopy

import pytest
import torch
from tiny_networks import ARGUMENTS, definition

from SlicerCNNSegLib.engine.networks import build_network, facts_of
from SlicerCNNSegTrainLib.engine.recipe import Start
from SlicerCNNSegTrainLib.engine.transfer.adapters import UP, add_adapters, merge_adapters
from SlicerCNNSegTrainLib.engine.transfer.freezing import parameter_groups
from SlicerCNNSegTrainLib.engine.transfer.loading import load_partially
from SlicerCNNSegTrainLib.engine.transfer.source import Source

CHANNELS, CLASSES = (1, 2), (3, 5)


def build(name, which):
    torch.manual_seed(which)
    own = definition(name, 2, classes=CLASSES[which], channels=CHANNELS[which])
    return own, build_network(own)


def answer(network, own):
    facts = facts_of(own)
    window = facts.size or tuple(max(32, 2 * side) for side in facts.stride)
    image = torch.randn(1, CHANNELS[1], *window, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = network.eval()(image)
    return list(output.values()) if isinstance(output, dict) else [output]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_all_but_heads_is_taken_and_the_input_is_adapted(name):
    (_, theirs), (own, ours) = build(name, 0), build(name, 1)
    report = load_partially(ours, Source("other", "0" * 64, theirs.state_dict()), own)
    facts = facts_of(own)
    adapted = [row.name for row in report.rows if row.outcome == "loaded, adapted to the channels"]
    assert not [each for each in report.fresh if not facts.in_heads(each)]
    assert report.fresh
    assert adapted
    shapes = {each: tensor.shape for each, tensor in theirs.state_dict().items()}
    assert all(shapes[each][1] == CHANNELS[0] for each in adapted)
    assert sum(report.counts.values()) == report.counts["loaded"] + len(adapted) + len(report.fresh)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_merged_equals_adapted(name):
    own, network = build(name, 1)
    names, plain = set(network.state_dict()), answer(network, own)
    add_adapters(network, 2)
    assert all(torch.equal(a, b) for a, b in zip(answer(network, own), plain, strict=True))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each, parameter in network.named_parameters():
            if each.endswith(UP):
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    adapted = answer(deepcopy(network), own)
    changed = [(a - b).abs().max().item() for a, b in zip(adapted, plain, strict=True)]
    assert min(changed) > 0
    merge_adapters(network)
    assert set(network.state_dict()) == names
    for found, expected, change in zip(answer(network, own), adapted, changed, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=min(1e-5, 0.01 * change))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_is_frozen_is_the_encoder_of_the_facts(name):
    own, network = build(name, 1)
    facts = facts_of(own)
    parameter_groups(network, facts.encoder, Start("other", freeze="encoder"))
    assert all(parameter.requires_grad != facts.in_encoder(each) for each, parameter in network.named_parameters())
