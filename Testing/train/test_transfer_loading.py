"""Partial loading: what fits is taken, and every tensor's fate is told."""

import json

import pytest
import torch
from safetensors.torch import load_file

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import save_weights
from SlicerCNNSegTrainLib.engine.transfer.loading import load_partially
from SlicerCNNSegTrainLib.engine.transfer.parts import input_names, tensor_names
from SlicerCNNSegTrainLib.engine.transfer.source import Source

FIRST = "input_block.conv1.conv.weight"
HEADS = ("output_block.conv.conv", "deep_supervision_heads.0.conv.conv")


def source_of(network, **changes):
    return Source("other", "0123456789abcdef" * 4, {**network.state_dict(), **changes})


def fresh(definition, seed=1):
    torch.manual_seed(seed)
    return build_network(definition)


def test_the_same_network_is_filled_completely(recipe):
    theirs, ours = fresh(recipe.network, 0), fresh(recipe.network)
    report = load_partially(ours, source_of(theirs), recipe.network)
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
    assert report.counts == {
        "loaded": len(tensor_names(ours)),
        "loaded, adapted to the channels": 0,
        "shape differs": 0,
        "missing in the source": 0,
        "left over in the source": 0,
    }
    assert report.fresh == ()
    assert report.loaded_parameters == report.parameters == sum(p.numel() for p in ours.parameters())
    assert report.text() == (
        f"Started from other (sha256 0123456789ab): {len(tensor_names(ours))} of {len(tensor_names(ours))} tensors, "
        "100.0% of the numbers to learn."
    )


def test_a_file_holds_a_shared_tensor_once_and_fills_it_everywhere(recipe, tmp_path):
    theirs, ours = fresh(recipe.network, 0), fresh(recipe.network)
    save_weights(theirs, tmp_path / "weights.safetensors", torch.float32)
    state = load_file(tmp_path / "weights.safetensors")
    assert len(state) < len(theirs.state_dict())
    report = load_partially(ours, Source("file", "0" * 64, state), recipe.network)
    assert report.counts["loaded"] == len(state)
    assert not report.counts["missing in the source"]
    assert not report.counts["left over in the source"]
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


def test_heads_with_other_classes_stay_fresh(recipe):
    theirs, definition = fresh(recipe.network, 0), {**recipe.network, "out_channels": 5}
    ours = fresh(definition)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    report = load_partially(ours, source_of(theirs), definition)
    assert sorted(report.fresh) == sorted(f"{head}.{part}" for head in HEADS for part in ("weight", "bias"))
    assert all(torch.equal(before[name], ours.state_dict()[name]) for name in report.fresh)
    assert torch.equal(ours.state_dict()[FIRST], theirs.state_dict()[FIRST])
    numbers = 5 * (6 + 1) + 5 * (12 + 1)
    assert report.parameters - report.loaded_parameters == numbers
    assert report.counts["shape differs"] == 4
    assert (
        "Left fresh, the shape differs: output_block.conv.conv.weight (5x6x1x1x1 here, 2x6x1x1x1 there)"
        in report.text()
    )
    row = next(row for row in report.to_json()["rows"] if row["name"] == f"{HEADS[0]}.bias")
    assert row == {
        "outcome": "shape differs",
        "name": f"{HEADS[0]}.bias",
        "shape": (5,),
        "source_name": f"{HEADS[0]}.bias",
        "source_shape": (2,),
    }
    assert json.loads(json.dumps(report.to_json()))["counts"] == report.counts


@pytest.mark.parametrize(("there", "here"), [(1, 3), (2, 1), (3, 2)])
def test_a_first_convolution_answers_to_equal_channels_as_before(recipe, there, here):
    definitions = [{**recipe.network, "in_channels": channels, "res_block": True} for channels in (there, here)]
    theirs, ours = fresh(definitions[0], 0).eval(), fresh(definitions[1]).eval()
    report = load_partially(ours, source_of(theirs), definitions[1])
    assert report.counts["loaded, adapted to the channels"] == 2  # the block's own convolution, and its shortcut's
    assert f"Adapted to the number of channels: {FIRST} (6x{here}x3x3x3 here, 6x{there}x3x3x3 there)" in report.text()
    assert report.fresh == ()
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = [net(image.expand(1, n, -1, -1, -1)) for net, n in ((theirs, there), (ours, here))]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    one = ours.state_dict()[FIRST][:, :1]
    assert torch.equal(ours.state_dict()[FIRST], one.expand(-1, here, -1, -1, -1))


def test_only_layers_at_the_input_are_adapted():
    # a U-Net of MONAI: its last layer is a transposed convolution (in, out, *kernel), whose second axis are classes
    definition = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
    }
    theirs = {**definition, "in_channels": 1, "out_channels": 2}
    report = load_partially(fresh(definition), source_of(fresh(theirs, 0)), definition)
    adapted = [row.name for row in report.rows if row.outcome == "loaded, adapted to the channels"]
    assert adapted == ["model.0.conv.weight"]
    assert report.fresh
    assert all(name.startswith("model.2.") for name in report.fresh)


def test_a_linear_layer_at_the_input_stays_fresh():
    definition = {
        "_target_": "UNETR",
        "in_channels": 2,
        "out_channels": 2,
        "img_size": [16, 16, 16],
        "feature_size": 4,
        "hidden_size": 24,
        "mlp_dim": 32,
        "num_heads": 2,
        "proj_type": "perceptron",
    }
    theirs = fresh({**definition, "in_channels": 1}, 0)
    report = load_partially(fresh(definition), source_of(theirs), definition)
    assert report.fresh == ("vit.patch_embedding.patch_embeddings.1.weight",)  # rows of (voxel, channel)
    assert report.counts["loaded, adapted to the channels"] == 2


def test_other_widths_are_not_taken_for_other_channels(recipe):
    definition = {**recipe.network, "filters": [8, 12, 16]}
    report = load_partially(fresh(definition), source_of(fresh(recipe.network, 0)), definition)
    assert report.counts["loaded, adapted to the channels"] == 0
    assert [row.text() for row in report.rows if row.name == "downsamples.0.conv1.conv.weight"] == [
        "downsamples.0.conv1.conv.weight (12x8x3x3x3 here, 12x6x3x3x3 there)"
    ]
    assert "downsamples.0.conv1.conv.weight" in report.fresh


@pytest.mark.parametrize("prefix", ["module.", "network.", "_orig_mod.", "model.", "module._orig_mod."])
def test_names_are_compared_without_what_wrappers_put_in_front(recipe, prefix):
    theirs, ours = fresh(recipe.network, 0), fresh(recipe.network)
    wrapped = Source("wrapped", "0" * 64, {prefix + name: tensor for name, tensor in theirs.state_dict().items()})
    report = load_partially(ours, wrapped, recipe.network)
    assert report.loaded_parameters == report.parameters
    assert report.counts["left over in the source"] == 0
    assert report.rows[0].source_name == prefix + report.rows[0].name


def test_the_exact_name_goes_first():
    definition = {
        "_target_": "UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8],
        "strides": [2],
    }
    theirs, ours = fresh(definition, 0), fresh(definition)
    name = "model.0.conv.weight"
    state = {"0.conv.weight": torch.zeros_like(theirs.state_dict()[name]), **theirs.state_dict()}
    report = load_partially(ours, Source("two", "0" * 64, state), definition)
    assert torch.equal(ours.state_dict()[name], theirs.state_dict()[name])
    assert [row.source_name for row in report.rows if row.outcome == "left over in the source"] == ["0.conv.weight"]


def test_what_is_missing_and_what_is_left_over_is_told(recipe):
    theirs, ours = fresh(recipe.network, 0), fresh(recipe.network)
    source = source_of(theirs, **{"projection.weight": torch.ones(3, 4)})
    for name in tensor_names(ours)[0]:
        del source.state[name]
    report = load_partially(ours, source, recipe.network)
    assert report.counts["missing in the source"] == report.counts["left over in the source"] == 1
    assert report.fresh == (FIRST,)
    assert f" {len(report.rows) - 2} of {len(report.rows) - 1} tensors, 99." in report.text().splitlines()[0]
    assert report.text().splitlines()[1:] == [
        f"Left fresh, missing in the source: {FIRST}.",
        "Not used of the source: projection.weight.",
    ]


def test_weights_of_another_network_are_refused_and_nothing_is_changed(recipe):
    theirs = {"features.weight": torch.zeros(3), f"{HEADS[0]}.bias": torch.zeros(7)}
    ours = fresh(recipe.network)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(SettingsError, match=r"like monai.networks.nets.DynUNet .* nothing of wrong \(sha256 0000"):
        load_partially(ours, Source("wrong", "0" * 64, theirs), recipe.network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


def test_statistics_alone_are_nothing_to_start_from(recipe):
    ours = fresh({**recipe.network, "norm_name": "batch"})
    statistics = dict(ours.named_buffers())
    with pytest.raises(SettingsError, match=r"nothing of statistics .* fits"):
        load_partially(ours, Source("statistics", "0" * 64, statistics), recipe.network)


def test_finding_the_input_layers_leaves_the_random_numbers_alone(recipe):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert FIRST in input_names(recipe.network)
    assert torch.equal(torch.rand(1), expected)
