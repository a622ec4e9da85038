"""Classification bundles in the Model Zoo's manner give through the front door what MONAI gives."""

import json
import shutil

import numpy as np
import pytest
import torch
from bundle_configs import step, transforms
from zoo_bundles import volume_of
from zoo_classifiers import CLASSIFIERS, monai_scores, write_classifier

from SlicerCNNSegLib.cli.main import main
from SlicerCNNSegLib.engine.errors import ChannelError, ConfigError, GeometryError, ModelError, SettingsError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: write_classifier(root / name, style) for name, style in CLASSIFIERS.items()}


def settings(folder, **more):
    return ClassificationSettings(str(folder), device="cpu", precision="fp32", **more)


def flat(path):
    """The picture; three channels are the last axis of its file."""
    return volume_of(path, flat=True)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_bundle_gives_what_monai_gives(folders, name):
    style, folder = CLASSIFIERS[name], folders[name]
    before = None
    for seed in (0, 1):
        scores, processed, path = monai_scores(folder, style, seed)
        progress = RecordingProgress()
        result = run(settings(folder), [flat(path)], progress)
        (prediction,) = result.predictions
        expected = scores.sigmoid() if name == "breast" else scores.softmax(0)
        np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
        if name == "breast":
            np.testing.assert_allclose(prediction.probabilities, processed, atol=1e-5)
            assert prediction.decided == tuple(np.flatnonzero(expected >= 0.5))
        else:  # one-hot
            assert prediction.decided == (int(processed.argmax()),)
        assert before is None or np.abs(np.subtract(prediction.probabilities, before)).max() > 1e-4
        before = prediction.probabilities
        assert progress.reports[-1] == (1.0, "Done")
        assert (result.record.task, result.record.model_id) == ("classification", name)


def test_the_metadata_say_what_it_is(folders):
    found = {name: ModelPackage.read(folder) for name, folder in folders.items()}
    assert {package.task for package in found.values()} == {"classification"}
    assert [one.name for one in found["breast"].classes] == ["A", "B", "C", "D"]
    assert [name for name, package in found.items() if package.multi_label] == ["breast"]
    assert [found[name].modality for name in ("breast", "endoscopic", "template")] == ["MG", "", ""]
    assert len(found["breast"].channels) == 3
    assert not any(package.labels for package in found.values())


def test_a_grey_image_is_given_as_three_channels(folders):
    _, _, path = monai_scores(folders["breast"], CLASSIFIERS["breast"], 0)
    colours = flat(path)
    grey = Volume(colours.array[:1], colours.ijk_to_ras)
    same = Volume(np.repeat(colours.array[:1], 3, axis=0), colours.ijk_to_ras)
    result = run(settings(folders["breast"]), [grey])
    assert result.predictions[0].probabilities == run(settings(folders["breast"]), [same]).predictions[0].probabilities
    assert any("as red, green and blue" in warning for warning in result.record.warnings)
    with pytest.raises(ChannelError, match="expects 3 channel"):
        run(settings(folders["breast"]), [Volume(colours.array[:2], colours.ijk_to_ras)])


def test_regions_are_classified_each_by_itself(folders):
    folder, style = folders["template"], CLASSIFIERS["template"]
    image = flat(monai_scores(folder, style, 0)[2])
    i, j, _ = image.geometry.size_ijk
    low, high = (0, 0, 0), (i // 2, j, 1)
    region = Region("ijk", (0, i // 2, 0, j, 0, 1), "left half")
    alone = run(settings(folder), [image.cropped(low, high)]).predictions[0]
    (found,) = run(settings(folder, regions=(region,)), [image]).predictions
    assert (found.name, found.start_ijk, found.stop_ijk) == ("left half", low, high)
    assert found.probabilities == alone.probabilities


def test_a_volume_is_not_classified_as_a_slice(folders):
    image = flat(monai_scores(folders["template"], CLASSIFIERS["template"], 0)[2])
    stack = Volume(np.repeat(image.array, 4, axis=1), image.ijk_to_ras)
    with pytest.raises(GeometryError, match="classifies single slices, but the image has 4; name a region"):
        run(settings(folders["template"]), [stack])


def test_the_command_line_runs_it(tmp_path, folders, capsys):
    scores, _, path = monai_scores(folders["template"], CLASSIFIERS["template"], 1)
    arguments = ["classify", str(path), "-o", str(tmp_path / "out"), "--model", str(folders["template"])]
    assert main([*arguments, "--device", "cpu", "--precision", "fp32"]) == 0
    (file,) = (tmp_path / "out").glob("*.classes.json")
    (row,) = json.loads(file.read_text(encoding="utf-8"))["predictions"]
    found = [row["probabilities"][name] for name in ("background", "circle", "triangle", "rectangle")]
    np.testing.assert_allclose(found, torch.softmax(scores, 0), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [({"explain": "occlusion"}, "no heat maps of"), ({"dropout_samples": 3}, "no runs with dropout")],
)
def test_what_needs_to_know_the_network_is_refused(folders, more, message):
    image = flat(monai_scores(folders["template"], CLASSIFIERS["template"], 0)[2])
    with pytest.raises(SettingsError, match=message):
        run(settings(folders["template"], **more), [image])


def edited(tmp_path, folder, change):
    """A copy with another config; its weights are not needed to be refused."""
    copy = tmp_path / folder.name
    (copy / "models").mkdir(parents=True)
    (copy / "models" / "model.pt").touch()
    shutil.copytree(folder / "configs", copy / "configs")
    path = copy / "configs" / "inference.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")
    return copy


LAMBDA = "$lambda x: x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(postprocessing=transforms(step("Lambdad", func=LAMBDA))), "the function in Lambdad"),
        (lambda c: c.update(postprocessing=transforms(step("Resized", "pred", spatial_size=[2]))), "asks for Resized"),
        (lambda c: c["network_def"].update(_target_="scripts.net.Net"), r"asks for scripts\.net\.Net"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(tmp_path, folders, change, message):
    with pytest.raises(ConfigError, match=message):
        ModelPackage.read(edited(tmp_path, folders["endoscopic"], change))


def test_other_networks_of_torchvision_are_refused(tmp_path, folders):
    folder = edited(tmp_path, folders["breast"], lambda config: config["network_def"].update(model_name="resnet50"))
    with pytest.raises(ConfigError, match=r"TorchVisionFCModel with .*resnet50.*only those with .*inception_v3"):
        ModelPackage.read(folder)


def test_scores_of_other_classes_are_told(tmp_path, folders):
    folder = shutil.copytree(folders["template"], tmp_path / "template")
    path = folder / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"3": "rectangle"', '"3": "rectangle", "4": "else"'), encoding="utf-8")
    picture = Volume(np.random.default_rng(0).random((1, 1, 40, 40)).astype(np.float32), np.eye(4))
    with pytest.raises(ModelError, match=r"scores of shape \(1, 4\) .* asks for \(1, 5\)"):
        run(settings(folder), [picture])
