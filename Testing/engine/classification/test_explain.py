"""Heat maps against closed forms, for every network, and whether they show what was learned."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from tiny_classifier import write_tiny_classifier
from tiny_networks import definition

from SlicerCNNSegLib.engine.classification.explain import RANDOM_NETWORKS, SIMILAR, Explainer, rank_similarity
from SlicerCNNSegLib.engine.classification.model import ClassificationModel
from SlicerCNNSegLib.engine.classification.result import ClassificationResult, Explanation
from SlicerCNNSegLib.engine.classification.scores import Scores
from SlicerCNNSegLib.engine.errors import GeometryError, ModelError, SettingsError
from SlicerCNNSegLib.engine.networks import CLASSIFICATION, build_network, network_names
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import load_networks

PADDED_3D = {"_target_": "ResizeWithPadOrCropd", "spatial_size": [4, 4, 4]}
RAS = {"_target_": "Orientationd", "axcodes": "RAS"}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NETWORKS = [name for name in network_names(CLASSIFICATION) if name != "BrightDark"]


def settings_of(folder, **more):
    return ClassificationSettings(str(folder), device="cpu", precision="fp32", **more)


def volume(shape_kji=(4, 4, 4), seed=0):
    return Volume(np.random.default_rng(seed).normal(size=(1, *shape_kji)).astype(np.float32), LPS)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++"])
@pytest.mark.parametrize(("name", "sign"), [("bright", 1), ("dark", -1)])
def test_the_map_of_a_network_of_one_place_per_voxel_is_known(tmp_path, method, name, sign):
    """BrightDark's features are the image's positive and negative parts, each with one class's weight."""
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RAS, PADDED_3D])
    image = volume()
    explanation = run(settings_of(folder, explain=method, explain_class=name), [image]).explanation
    part = np.maximum(sign * image.array[0], 0)
    np.testing.assert_allclose(explanation.heat, part / part.max(), atol=1e-5)
    assert (explanation.method, explanation.layer, explanation.classes) == (method, "features", (name,))
    assert explanation.verdict == ""


def test_features_are_a_layers_strength_whatever_the_class(tmp_path):
    """BrightDark's features are the image's positive and negative parts."""
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RAS, PADDED_3D])
    image = volume()
    strength = np.abs(image.array[0])
    for name in ("bright", "dark"):
        explanation = run(settings_of(folder, explain="features", explain_class=name), [image]).explanation
        np.testing.assert_allclose(explanation.heat, strength / strength.max(), atol=1e-5)
        assert (explanation.method, explanation.layer) == ("features", "features")


@pytest.mark.parametrize("dims", [2, 3])
def test_features_of_a_coarse_layer_are_linear_between_its_places(tmp_path, dims):
    size = {"_target_": "Resized", "spatial_size": [16] * dims}
    network = {**definition("VGG", dims, classes=2), "widths": [8, 8], "convolutions": [1, 1]}
    folder = write_tiny_classifier(tmp_path / "m", transforms=[size], slices=3 - dims, network=network, members=())
    (folder / "models").mkdir()
    (folder / "models" / "none.safetensors").touch()
    model = ClassificationModel.of(ModelPackage.read(folder))
    explainer = Explainer.of(model, "features")
    built, kept = build_network(network).eval(), []
    built.get_submodule(explainer.layer).register_forward_hook(lambda *call: kept.append(call[2]))
    image = torch.randn(1, *[16] * dims, generator=torch.Generator().manual_seed(1))
    heat = explainer.heat([Scores(built, model)], image, 0, NoProgress())
    strength = kept[0][0].square().mean(0).sqrt().numpy()
    step = 16 // strength.shape[0]
    assert step > 1
    places = np.clip((np.indices(heat.shape) + 0.5) / step - 0.5, 0, strength.shape[0] - 1)
    wanted = ndimage.map_coordinates(strength, places, order=1)
    np.testing.assert_allclose(heat, wanted / wanted.max(), atol=1e-4)
    with pytest.raises(ModelError, match=r"which lie nowhere in the image\); choose a layer of convolutions"):
        Explainer.of(model, "features", model_head(built)).heat([Scores(built, model)], image, 0, NoProgress())


def model_head(network):
    """The name of its last linear layer."""
    return [name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)][-1]


def test_covering_what_is_bright_costs_probability_there(tmp_path):
    folder = write_tiny_classifier(
        tmp_path / "m", slices=1, transforms=[{"_target_": "Resized", "spatial_size": [14, 14], "mode": "nearest"}]
    )
    image = Volume(np.zeros((1, 1, 14, 14), np.float32), LPS)
    image.array[0, 0, 8:10, 2:4] = 40
    image.array[0, 0, 2:4, 10:12] = -20  # speaks for the other class
    heat = run(settings_of(folder, explain="occlusion"), [image]).explanation.heat[0]
    assert np.unravel_index(heat.argmax(), heat.shape) == (8, 2)
    assert heat.max() == 1
    assert heat[12:].max() < 0.05
    assert heat[2:4, 10:12].max() == 0


def test_the_top_class_of_each_region_is_explained_where_the_region_lies(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RAS, PADDED_3D])
    image = volume((8, 8, 8))
    image.array[0, :4] += 1
    image.array[0, 4:] -= 1
    boxes = ((0, 4, 0, 4, 0, 4), (0, 4, 0, 4, 4, 8))
    regions = tuple(Region("ijk", box) for box in boxes)
    explanation = run(settings_of(folder, explain="gradcam", regions=regions), [image]).explanation
    assert explanation.classes == ("bright", "dark")
    for ks, sign in ((slice(0, 4), 1), (slice(4, 8), -1)):
        part = np.maximum(sign * image.array[0, ks, :4, :4], 0)
        np.testing.assert_allclose(explanation.heat[ks, :4, :4], part / part.max(), atol=1e-5)
    assert not explanation.heat[:, 4:].any()


def test_an_ensembles_maps_are_averaged(tmp_path):
    members = ({}, {"reverse": True})
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RAS, PADDED_3D], members=members)
    image = volume()
    heat = run(settings_of(folder, explain="gradcam", explain_class="bright"), [image]).explanation.heat
    positive, negative = np.maximum(image.array[0], 0), np.maximum(-image.array[0], 0)
    np.testing.assert_allclose(heat, (positive / positive.max() + negative / negative.max()) / 2, atol=1e-5)


def test_explaining_leaves_the_network_as_it_is(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    run(settings_of(folder, explain="gradcam"), [volume()])
    (network,) = load_networks(ModelPackage.read(folder), torch.device("cpu"))
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_classifier_has_a_layer_to_explain(tmp_path, name):
    size = {"_target_": "Resized", "spatial_size": [64, 64]}
    folder = write_tiny_classifier(
        tmp_path / "m", transforms=[size], slices=1, network=definition(name, 2, classes=2), members=()
    )
    (folder / "models").mkdir()
    (folder / "models" / "none.safetensors").touch()
    model = ClassificationModel.of(ModelPackage.read(folder))
    explainer = Explainer.of(model, "gradcam")
    torch.manual_seed(0)
    network = Scores(build_network(definition(name, 2, classes=2)).eval(), model)
    image = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(1))
    maps = [explainer.heat([network], image, index, NoProgress()) for index in (0, 1)]
    assert max(float(one.max()) for one in maps) == 1
    assert all(one.shape == (64, 64) and float(one.min()) >= 0 for one in maps)


def test_a_map_that_needs_nothing_learned_fails_the_check(tmp_path):
    """BrightDark is built, not learned: each fresh network is the same."""
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RAS, PADDED_3D])
    result = run(settings_of(folder, explain="gradcam", sanity=True), [volume()])
    explanation = result.explanation
    assert explanation.similarity == pytest.approx(1)
    assert explanation.passed is False
    assert "don't rely on it" in explanation.verdict
    assert explanation.verdict in result.record.warnings


def test_a_map_that_hangs_on_the_weights_passes_the_check(tmp_path):
    size = {"_target_": "Resized", "spatial_size": [64, 64]}
    network = definition("VGG", 2, classes=2)
    folder = write_tiny_classifier(tmp_path / "m", transforms=[size], slices=1, network=network)
    model = ClassificationModel.of(ModelPackage.read(folder))
    explainer = Explainer.of(model, "gradcam")
    image = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(1))
    peak = torch.zeros(64, 64)
    peak[5:9, 40:60] = 1
    similarity = explainer.similarity(peak, image, 0, torch.device("cpu"), NoProgress())
    assert similarity < SIMILAR
    maps = []
    for seed in range(RANDOM_NETWORKS):
        torch.manual_seed(seed)
        maps.append(explainer.heat([Scores(build_network(network).eval(), model)], image, 0, NoProgress()))
    assert similarity == pytest.approx(np.mean([rank_similarity(peak, one) for one in maps]))


def test_similarity_of_ranks():
    ramp = torch.arange(12.0).reshape(3, 4)
    assert rank_similarity(ramp, ramp.exp()) == pytest.approx(1)
    assert rank_similarity(ramp, -ramp) == pytest.approx(1)
    assert rank_similarity(ramp, torch.zeros(3, 4)) == 0


def test_layers_that_cannot_be_explained_are_told(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    with pytest.raises(SettingsError, match=r"The network of m has no layer 'conv9'; choose one .* head.2"):
        run(settings_of(folder, explain="gradcam", layer="conv9"), [volume()])
    with pytest.raises(ModelError, match=r"The layer head.2 gives no heat map .* explain by occlusion"):
        run(settings_of(folder, explain="gradcam++", layer="head.2"), [volume()])


def test_a_map_on_another_grid_is_refused(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    result = run(settings_of(folder), [volume()])
    heat = Explanation("gradcam", "x", ("bright",), np.zeros((1, 2, 3)))
    with pytest.raises(GeometryError, match=r"Expected a heat map of shape \(k, j, i\) \(4, 4, 4\), got \(1, 2, 3\)"):
        ClassificationResult(result.classes, result.predictions, result.geometry, result.record, heat)
