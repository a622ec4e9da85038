"""Probabilities against closed forms, through the front door."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax
from tiny_classifier import SCALE, write_tiny_classifier
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.classification.model import ClassificationModel
from SlicerCNNSegLib.engine.errors import (
    ChannelError,
    GeometryError,
    InputError,
    ModalityError,
    ModelError,
    RegionError,
    SettingsError,
)
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

PADDED_3D = {"_target_": "ResizeWithPadOrCropd", "spatial_size": [4, 4, 4]}
NEAREST_2D = {"_target_": "Resized", "spatial_size": [4, 4], "mode": "nearest"}


def settings_of(folder, **more):
    return ClassificationSettings(str(folder), device="cpu", precision="fp32", **more)


def scores_of(array):
    """Of BrightDark."""
    return SCALE * np.array([np.maximum(array, 0).mean(), np.maximum(-array, 0).mean()])


def volume(shape_kji=(4, 4, 4), channels=1, seed=0, **more):
    array = np.random.default_rng(seed).normal(0.1, 1, (channels, *shape_kji)).astype(np.float32)
    return Volume(array, np.eye(4), **more)


def test_a_volume_gets_the_networks_probabilities(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    image = volume()
    result = run(settings_of(folder), [image])
    (prediction,) = result.predictions
    np.testing.assert_allclose(prediction.probabilities, softmax(scores_of(image.array)), atol=1e-6)
    assert (prediction.name, prediction.spread) == ("", None)
    assert result.names == ("bright", "dark")
    record = result.record
    assert (record.task, record.model_id, record.device, record.precision) == ("classification", "m", "cpu", "fp32")
    assert set(record.seconds) == {"check", "preprocess", "load model", "network"}


def test_the_temperature_divides_the_scores(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D], running={"temperature": 2.5})
    image = volume()
    (prediction,) = run(settings_of(folder), [image]).predictions
    np.testing.assert_allclose(prediction.probabilities, softmax(scores_of(image.array) / 2.5), atol=1e-6)


def test_labels_that_do_not_exclude_each_other_have_probabilities_of_their_own(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D], multi_label=True)
    image = volume()
    result = run(settings_of(folder), [image])
    (prediction,) = result.predictions
    p = expit(scores_of(image.array))
    np.testing.assert_allclose(prediction.probabilities, p, atol=1e-6)
    assert prediction.decided == (0, 1)
    assert prediction.entropy == pytest.approx(np.mean(-(p * np.log2(p) + (1 - p) * np.log2(1 - p))), abs=1e-6)


def test_an_ensemble_is_averaged_and_its_spread_told(tmp_path):
    members = ({}, {"reverse": True})
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D], members=members)
    image = volume()
    result = run(settings_of(folder), [image])
    one = softmax(scores_of(image.array))
    (prediction,) = result.predictions
    np.testing.assert_allclose(prediction.probabilities, [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(prediction.spread, [abs(one[0] - 0.5)] * 2, atol=1e-6)
    assert prediction.entropy == pytest.approx(1)
    assert result.rows()[0]["spread"]["bright"] == pytest.approx(abs(one[0] - 0.5), abs=1e-5)


def test_mirroring_averages_over_flips(tmp_path):
    """A network with a 3-wide kernel is not symmetric; with mirroring it is."""
    definition = {"_target_": "AlexNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "widths": [4] * 5}
    size = {"_target_": "Resized", "spatial_size": [40, 40]}
    folder = write_tiny_classifier(
        tmp_path / "m", transforms=[size], slices=1, network=definition, running={"mirror_axes": [0]}
    )
    image = volume((1, 40, 40))
    flipped = Volume(image.array[..., ::-1].copy(), image.ijk_to_ras)
    plain = [run(settings_of(folder), [one]).predictions[0].probabilities for one in (image, flipped)]
    mirrored = [run(settings_of(folder, mirror=True), [one]).predictions[0].probabilities for one in (image, flipped)]
    assert abs(plain[0][0] - plain[1][0]) > 1e-4
    np.testing.assert_allclose(mirrored, [np.mean(plain, axis=0)] * 2, atol=1e-6)


def test_a_model_that_is_always_averaged_is_so_over_mirrorings_and_quarter_turns(tmp_path):
    definition = {"_target_": "AlexNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "widths": [4] * 5}
    size = {"_target_": "Resized", "spatial_size": [40, 40]}
    told = {"mirror_axes": [0, 1], "quarter_turns": True, "always_averaged": True}
    plain, averaged = (
        write_tiny_classifier(tmp_path / name, transforms=[size], slices=1, network=definition, running=running)
        for name, running in (("plain", {}), ("averaged", told))
    )
    image = volume((1, 40, 40))
    eight = [np.rot90(one, turns, (2, 3)) for one in (image.array, image.array[..., ::-1]) for turns in range(4)]
    images = [Volume(np.ascontiguousarray(one), image.ijk_to_ras) for one in eight]
    each = [run(settings_of(plain), [one]).predictions[0].probabilities for one in images]
    assert np.ptp(np.array(each)[:, 0]) > 1e-4
    found = [run(settings_of(averaged), [one]).predictions[0].probabilities for one in images]
    np.testing.assert_allclose(found, [np.mean(each, axis=0)] * 8, atol=1e-6)


def test_each_region_is_classified_by_itself(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    image = volume((8, 8, 8))
    regions = (Region("ijk", (0, 4, 0, 4, 0, 4), "low"), Region("ijk", (4, 8, 4, 8, 4, 8), "high"))
    low, high = run(settings_of(folder, regions=regions), [image]).predictions
    assert (low.name, low.start_ijk, high.name, high.stop_ijk) == ("low", (0, 0, 0), "high", (8, 8, 8))
    np.testing.assert_allclose(low.probabilities, softmax(scores_of(image.array[0, :4, :4, :4])), atol=1e-6)
    np.testing.assert_allclose(high.probabilities, softmax(scores_of(image.array[0, 4:, 4:, 4:])), atol=1e-6)


def test_more_regions_than_fit_into_a_batch(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[NEAREST_2D], slices=1)
    image = volume((20, 4, 4))
    regions = tuple(Region("ijk", (0, 4, 0, 4, k, k + 1)) for k in range(20))
    found = [one.probabilities for one in run(settings_of(folder, regions=regions), [image]).predictions]
    wanted = [softmax(scores_of(image.array[0, k])) for k in range(20)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_colour_picture_is_one_slice_of_three_channels(tmp_path):
    channels = [("red", ""), ("green", ""), ("blue", "")]
    folder = write_tiny_classifier(tmp_path / "m", transforms=[NEAREST_2D], slices=1, channels=channels)
    image = volume((1, 4, 4), channels=3)
    (prediction,) = run(settings_of(folder), [image]).predictions
    np.testing.assert_allclose(prediction.probabilities, softmax(scores_of(image.array[0])), atol=1e-6)


def test_the_middle_slice_counts_among_its_neighbours(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[NEAREST_2D], slices=3)
    image = volume((3, 4, 4))
    (prediction,) = run(settings_of(folder), [image]).predictions
    np.testing.assert_allclose(prediction.probabilities, softmax(scores_of(image.array[0, 1])), atol=1e-6)


def test_it_can_be_cancelled_between_stages(tmp_path):
    from SlicerCNNSegLib.engine.errors import Cancelled

    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D])
    with pytest.raises(Cancelled):
        run(settings_of(folder), [volume()], RecordingProgress(cancel_at=0.1))


def test_wrong_inputs_are_told(tmp_path):
    grey = write_tiny_classifier(tmp_path / "grey", transforms=[NEAREST_2D], slices=1)
    deep = write_tiny_classifier(tmp_path / "deep", transforms=[PADDED_3D], channels=[("CT", "CT")])
    with pytest.raises(ChannelError, match=r"grey expects a grey image, but a.png is a colour image with 3 channels"):
        run(settings_of(grey), [volume((1, 4, 4), channels=3, source="a.png")])
    with pytest.raises(ChannelError, match=r"expects 1 channel\(s\)"):
        run(settings_of(grey), [volume((1, 4, 4)), volume((1, 4, 4))])
    with pytest.raises(GeometryError, match=r"grey classifies single slices, but b.nii has 4; name a region"):
        run(settings_of(grey), [volume(source="b.nii")])
    with pytest.raises(GeometryError, match=r"expects a 3-D volume, but .* is one slice"):
        run(settings_of(deep), [volume((1, 4, 4))])
    with pytest.raises(ModalityError, match=r"expects CT, but .* is tagged MR"):
        run(settings_of(deep), [volume(modality="MR")])
    with pytest.raises(RegionError, match=r"holds no voxel of the image"):
        run(settings_of(deep, regions=(Region("ijk", (9, 12, 0, 4, 0, 4)),)), [volume()])
    with pytest.raises(InputError, match=r"is empty: every voxel is 0"):
        run(settings_of(deep), [Volume(np.zeros((1, 4, 4, 4), np.float32), np.eye(4))])
    with pytest.raises(SettingsError, match=r"has no class 'grey' to explain; its classes are bright, dark"):
        run(settings_of(deep, explain="gradcam", explain_class="grey"), [volume()])


def test_a_forced_modality_is_kept_in_the_record(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D], channels=[("CT", "CT")])
    result = run(settings_of(folder, force=True), [volume(modality="MR")])
    assert any("Forced" in warning for warning in result.record.warnings)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"classes": [{"name": "a"}]}, r"needs at least 2 classes whose names differ, got a"),
        ({"classes": [{"name": "a"}, {"name": "a"}]}, r"whose names differ, got a, a"),
        ({"classes": [{"code": None}]}, r"lacks 'name' in configs/metadata.json"),
        ({"running": {"temperature": "warm"}}, r"wrong value in the block cnnseg of configs/inference.json: .*'warm'"),
        ({"running": {"temperature": 0}}, r"needs a temperature above 0, got 0"),
        ({"running": {"slices": 2}}, r"0 or an odd number of slices and mirror_axes below 2, got 2"),
        ({"running": {"mirror_axes": [0], "quarter_turns": True}}, r"need 0 and 1 among the mirror_axes, got \[0\]"),
        ({"running": {"mirror_axes": [3]}}, r"mirror_axes below 3, got 0 and \[3\]"),
    ],
)
def test_metadata_that_makes_no_sense_is_told(tmp_path, changes, match):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[PADDED_3D], **changes)
    with pytest.raises(ModelError, match=match):
        ClassificationModel.of(ModelPackage.read(folder))


def test_models_that_do_not_fit_are_told(tmp_path):
    segmenter = write_tiny_model(tmp_path / "seg")
    with pytest.raises(SettingsError, match=r"seg is for segmentation; choose one for classification"):
        run(settings_of(segmenter), [volume()])
    threshold = {"_target_": "Threshold", "in_channels": 1, "dims": 3}
    wrong = write_tiny_classifier(tmp_path / "wrong", transforms=[PADDED_3D], network=threshold)
    with pytest.raises(ModelError, match=r"The network of wrong does no classification"):
        run(settings_of(wrong), [volume()])
    small = write_tiny_classifier(
        tmp_path / "small",
        transforms=[PADDED_3D],
        network={"_target_": "DenseNet121", "spatial_dims": 3, "in_channels": 1, "out_channels": 2},
    )
    with pytest.raises(ModelError, match=r"DenseNet121 needs windows whose sides are of at least 32"):
        run(settings_of(small), [volume()])
    three = [{"name": name} for name in "abc"]
    network = {"_target_": "BrightDark", "spatial_dims": 3, "in_channels": 1, "classes": 2}
    many = write_tiny_classifier(tmp_path / "many", transforms=[PADDED_3D], network=network, classes=three)
    with pytest.raises(ModelError, match=r"gives scores of shape \(2,\), but its metadata lists 3 classes"):
        run(settings_of(many), [volume()])
    config = json.loads((many / "configs" / "inference.json").read_text())
    del config["preprocessing"]
    (many / "configs" / "inference.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"many lacks 'preprocessing' in configs/inference.json"):
        run(settings_of(many), [volume()])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"device": "tpu"}, r"Expected a device out of auto"),
        ({"precision": "int8"}, r"Expected a precision out of auto"),
        (
            {"explain": "lime"},
            r"Expected an explanation out of gradcam, gradcam\+\+, occlusion, features, or none, got 'lime'",
        ),
        ({"sanity": True}, r"Expected a kind of explanation with its class, layer or sanity check, got none"),
        ({"explain": "occlusion", "layer": "x"}, r"Occlusion looks at no layer, got 'x'"),
        ({"regions": (Region("ijk", (0, 1) * 3, "a"),) * 2}, r"Expected each region to have a name of its own"),
    ],
)
def test_settings_that_make_no_sense_are_told(changes, match):
    with pytest.raises(SettingsError, match=match):
        ClassificationSettings("m", **changes)
