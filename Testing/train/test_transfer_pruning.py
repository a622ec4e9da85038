"""A smaller network out of a trained one: what stays, and that it gives the same where only zeros go."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_model import write_tiny_model
from tiny_networks import ARGUMENTS, definition

from SlicerCNNSegLib.engine.errors import ModelError, SettingsError
from SlicerCNNSegLib.engine.networks import build_network, facts_of
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.recipe_parts import Start
from SlicerCNNSegTrainLib.engine.training.checkpoint import save_checkpoint
from SlicerCNNSegTrainLib.engine.transfer.channels import follow_channels
from SlicerCNNSegTrainLib.engine.transfer.pruning import narrower, pruned_state, smaller_recipe
from SlicerCNNSegTrainLib.engine.transfer.start import start_network

PRUNABLE = [name for name in ARGUMENTS if facts_of(definition(name, 2)).widths]


def wider(name):
    """The small definition with twice the channels, so that half of them are what it has."""
    own = definition(name, 2)
    # channels of several convolutions are added; and none are normalised together
    own |= {"DynUNet": {"res_block": True}, "SegResNet": {"norm": ("instance", {"affine": True})}}.get(name, {})
    argument = facts_of(own).widths
    widths = own[argument]
    return own | {argument: 2 * widths if isinstance(widths, int) else [2 * width for width in widths]}


def silenced(network, recipe):
    """Make half of each group's channels, picked at random, zeros in all that is done with them; the others' count."""
    followed = follow_channels(network, 1, recipe.patch_size[:2])
    of_network = {name for name, tensor in network.state_dict().items() if tensor.ndim == 1}
    generator = torch.Generator().manual_seed(3)
    inner = {frozenset(layer.channels) for layer in followed.layers if len(layer.channels) not in (1, 3)}
    silent = set()
    for group in sorted(map(sorted, inner)):
        silent.update(group[n] for n in torch.randperm(len(group), generator=generator)[: len(group) // 2].tolist())
    makers = {(layer.weight, layer.axis) for layer in followed.layers}
    state = network.state_dict()
    for name, axes in followed.axes.items():
        for axis, channels in axes.items():
            if (name, axis) in makers or (name in of_network and "running" not in name):
                places = torch.tensor([n for n, channel in enumerate(channels) if channel in silent], dtype=torch.long)
                state[name].index_fill_(axis, places, 0.0)
    return len(silent)


def perturb(network):
    """Norms that do something: fresh ones scale by 1 and shift by 0."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))


@pytest.fixture
def flat(recipe):
    return replace(recipe, patch_size=(32, 32, 1))


@pytest.mark.parametrize("name", PRUNABLE)
def test_where_only_zeros_go_the_answer_stays(name, flat):
    torch.manual_seed(0)
    own = wider(name)
    larger, smaller = build_network(own), build_network(narrower(own, 0.5))
    perturb(larger)
    assert silenced(larger, flat) > 4
    state = pruned_state(larger, smaller, flat)
    missing, unexpected = smaller.load_state_dict(state, strict=False)
    assert not unexpected
    assert {name.rpartition(".")[2] for name in missing} <= {"weight", "bias"}
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = larger.eval()(image), smaller.eval()(image)
    assert sum(one.numel() for one in smaller.parameters()) < 0.5 * sum(one.numel() for one in larger.parameters())
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_filters_with_the_largest_norms_stay_in_their_order(flat):
    torch.manual_seed(0)
    own = {**definition("MeshNet", 2), "width": 6}
    larger = build_network(own)
    state = pruned_state(larger, build_network(narrower(own, 0.5)), flat)
    before = torch.tensor([0])
    for block in range(3):
        name = f"blocks.{block}.conv.weight"
        weight = larger.state_dict()[name]
        norms = [sum(abs(value) for value in one.flatten().tolist()) for one in weight]
        best = torch.tensor(sorted(sorted(range(6), key=norms.__getitem__)[3:]))
        assert torch.equal(state[name], weight[best][:, before])
        assert torch.equal(state[f"blocks.{block}.adn.N.bias"], larger.state_dict()[f"blocks.{block}.adn.N.bias"][best])
        before = best
    assert torch.equal(state["head.conv.weight"], larger.state_dict()["head.conv.weight"][:, before])


class Added(torch.nn.Module):
    """Features of two convolutions, added."""

    def __init__(self, width):
        super().__init__()
        self.one, self.other = torch.nn.Conv2d(1, width, 1), torch.nn.Conv2d(1, width, 1)
        self.head = torch.nn.Conv2d(width, 2, 1)

    def forward(self, image):
        return self.head(self.one(image) + self.other(image))


def test_of_channels_that_are_added_the_norms_are_added(flat):
    larger = Added(4)
    with torch.no_grad():
        larger.one.weight[:] = torch.tensor([4.0, -1.0, 3.0, 0.0]).reshape(4, 1, 1, 1)
        larger.other.weight[:] = torch.tensor([0.0, 2.0, -2.0, 1.5]).reshape(4, 1, 1, 1)
    state = pruned_state(larger, Added(2), flat)  # 4, 3, 5, 1.5
    assert [state[f"{name}.weight"].flatten().tolist() for name in ("one", "other")] == [[4, 3], [0, -2]]


def test_fewer_channels_are_at_least_one():
    assert narrower({"_target_": "UNet", "channels": [1, 3, 8], "strides": [2, 2]}, 0.25)["channels"] == [1, 1, 2]
    assert narrower({"_target_": "SegResNet", "init_filters": 32}, 0.5)["init_filters"] == 16


@pytest.fixture
def trained(tmp_path, recipe):
    """The folder of a run, as far as it is started from."""
    return write_run(tmp_path / "trained", recipe)


def write_run(folder, recipe):
    torch.manual_seed(1)
    (folder / "fold_0").mkdir(parents=True)
    for place in (folder, folder / "fold_0"):
        (place / "recipe.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    save_checkpoint(folder / "fold_0" / "best.pt", {"average": build_network(recipe.network).state_dict()})
    return folder


def test_a_run_is_planned_by_the_recipe_of_the_pruned_one_and_starts_with_its_weights(trained, boxes, tmp_path, recipe):
    timed = replace(recipe, minutes=5.0)
    (trained / "recipe.json").write_text(json.dumps(timed.to_json()), encoding="utf-8")
    command = ("plan", boxes, "-o", tmp_path / "small", "--from", trained, "--keep", 0.5, "--steps", 7)
    assert main([str(word) for word in command]) == 0
    planned = Recipe.read(tmp_path / "small" / "recipe.json")
    assert planned.network == {**recipe.network, "filters": [3, 6, 8]}
    assert planned.start == Start(str(trained), prune=True)
    assert (planned.steps, planned.minutes) == (7, 0)  # and not five minutes
    assert replace(planned, network=recipe.network, start=recipe.start, steps=recipe.steps) == recipe
    learner = start_network(planned)
    assert learner.report.fresh == ()
    assert learner.report.loaded_parameters == learner.report.parameters
    assert "pruned to" in learner.report.text()


def test_a_model_is_pruned_with_the_recipe_that_is_named(tmp_path, recipe, recipe_file, boxes, capsys):
    model = write_tiny_model(tmp_path / "model", network=recipe.network, spacing_mm=(1.0, 1.0, 1.5), label="Box")
    metadata = model / "configs" / "metadata.json"
    labels = json.loads(metadata.read_text(encoding="utf-8"))
    labels["cnnseg"]["labels"][0]["value"] = 3
    metadata.write_text(json.dumps(labels), encoding="utf-8")
    command = ["plan", str(boxes), "-o", str(tmp_path / "small"), "--from", str(model), "--keep", "0.5"]
    assert main(command) == 2
    assert "Expected --recipe, the one that" in capsys.readouterr().err
    assert main([*command, "--recipe", str(recipe_file)]) == 0
    assert Recipe.read(tmp_path / "small" / "recipe.json").network["filters"] == [3, 6, 8]


@pytest.mark.parametrize("keep", [0.0, 1.0, -1.0, 7.0])
def test_a_share_is_between_none_and_all(trained, recipe, keep):
    with pytest.raises(SettingsError, match="Expected a share of the channels to keep above 0 and below 1, got"):
        smaller_recipe(replace(recipe, start=Start(str(trained))), keep)


def other_label(recipe):
    return replace(recipe, model={**recipe.model, "labels": [{**recipe.model["labels"][0], "name": "Ball"}]})


FAULTS = {
    "nothing": (lambda recipe: replace(recipe, start=Start()), "Expected a model to start from"),
    "labels": (
        other_label,
        r"Expected a model with the recipe's labels to prune, \(\(3, 'Ball'\),\), but trained .* has",
    ),
    "channels": (
        lambda recipe: replace(recipe, model={**recipe.model, "channels": [{"name": "T2", "modality": "MR"}]}),
        r"recipe's channels to prune, \('T2',\), but trained",
    ),
    "preprocessing": (lambda recipe: replace(recipe, preprocessing=()), "recipe's preprocessing to prune"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_for_something_else_is_not_pruned(trained, recipe, what):
    change, words = FAULTS[what]
    with pytest.raises(SettingsError, match=words):
        smaller_recipe(change(replace(recipe, start=Start(str(trained)))), 0.5)


def test_a_network_that_says_no_numbers_of_channels_is_not_pruned():
    with pytest.raises(SettingsError, match=r"numbers of channels are an argument, .* definition of VNet says none"):
        narrower(definition("VNet", 3), 0.5)


def test_weights_of_another_purpose_or_network_are_not_pruned(trained, tmp_path, recipe):
    (trained / "fold_0" / "recipe.json").unlink()
    with pytest.raises(SettingsError, match=r"Expected a segmentation of CNNSeg's own to prune, .* trained .* is none"):
        smaller_recipe(replace(recipe, start=Start(str(trained))), 0.5)
    other = write_run(tmp_path / "other", replace(recipe, network=definition("UNet", 3, classes=2)))
    edited = replace(recipe, start=Start(str(other), prune=True))
    with pytest.raises(SettingsError, match=r"Expected a network like that of other .* but for filters"):
        start_network(edited)
    wide = replace(recipe, network={**recipe.network, "filters": [12, 12, 16]}, start=Start(str(trained), prune=True))
    (trained / "fold_0" / "recipe.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    with pytest.raises(SettingsError, match="The network cannot be pruned: of its tensor"):
        start_network(wide)


class Shuffled(torch.nn.Module):
    """Channels that change places, which nobody who counts them sees."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(1, 4, 1), torch.nn.Conv2d(4, 2, 1)

    def forward(self, image):
        features = self.first(image)
        return self.second(features.reshape(-1, 2, 2, *features.shape[2:]).transpose(1, 2).flatten(1, 2))


def test_channels_that_cannot_be_followed_are_told():
    with pytest.raises(SettingsError, match=r"channels that reach the convolution second.weight cannot be followed"):
        follow_channels(Shuffled(), 1, (8, 8))


def test_a_model_with_incomplete_configs_is_not_pruned(tmp_path, recipe):
    model = write_tiny_model(tmp_path / "model", network=recipe.network)
    config = model / "configs" / "inference.json"
    plain = json.loads(config.read_text(encoding="utf-8"))
    del plain["preprocessing"]
    config.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(ModelError, match=r"The model model lacks 'preprocessing' in configs/inference.json"):
        smaller_recipe(replace(recipe, start=Start(str(model))), 0.5)
