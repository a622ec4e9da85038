"""A detection bundle in the Model Zoo's manner finds through the front door what MONAI finds, at the same places."""

import json
from dataclasses import replace

import numpy as np
import pytest
from monai.apps.detection.networks import retinanet_network
from tiny_detector import chest
from zoo_bundles import step, transforms
from zoo_detector import CONFIG, MOST_BOXES, RAN, monai_boxes, write_zoo_detector

from SlicerCNNSegLib.cli.main import main
from SlicerCNNSegLib.engine.configs import stand_ins
from SlicerCNNSegLib.engine.errors import Cancelled, ConfigError, ModelError, SettingsError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import DetectionSettings, SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

CLOSE_MM = 0.01


@pytest.fixture(autouse=True, scope="module")
def small():
    """Small pyramids, here and in MONAI's parser, for these tests alone."""
    before = stand_ins.PYRAMID_CHANNELS, retinanet_network.resnet_fpn_feature_extractor
    yield
    stand_ins.PYRAMID_CHANNELS, retinanet_network.resnet_fpn_feature_extractor = before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_zoo_detector(tmp_path_factory.mktemp("models") / "lung_nodule")


def placed(turn_degrees, size=None):
    """The chest along LPS axes, turned about the patient's long axis; ``size`` voxels of it, or all."""
    whole = chest()
    angle = np.radians(turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = whole.ijk_to_ras.copy()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    array = whole.array[:, ::-1, :, ::-1]  # the first and the last axis run the other way
    matrix[:3, 3] += matrix[:3, [0, 2]] @ (np.array([array.shape[3], array.shape[1]]) - 1)
    matrix[:3, [0, 2]] *= -1
    return Volume(np.ascontiguousarray(array), matrix, modality="CT")


def settings(folder, **more):
    return DetectionSettings(str(folder), device="cpu", precision="fp32", measure=False, **more)


@pytest.mark.parametrize("turn_degrees", [0, 12])
def test_boxes_lie_where_monai_puts_them(tmp_path, folder, turn_degrees):
    volume = placed(turn_degrees)
    boxes, scores = monai_boxes(folder, volume, tmp_path / "case.nii.gz", windows=True)
    assert len(boxes) == MOST_BOXES
    result = run(settings(folder), [volume])
    np.testing.assert_allclose([one.score for one in result.candidates], scores, atol=1e-5)
    centers = [one.center_ras_mm for one in result.candidates]
    np.testing.assert_allclose(centers, boxes[:, :3] * [-1, -1, 1], atol=CLOSE_MM)
    if not turn_degrees:  # MONAI writes turned boxes by two of their corners alone
        sizes = [one.box.extent_ras_mm() for one in result.candidates]
        np.testing.assert_allclose(sizes, boxes[:, 3:], atol=CLOSE_MM)


def test_an_image_smaller_than_a_window_is_looked_at_as_a_whole(tmp_path):
    folder = write_zoo_detector(tmp_path / "wide", infer_patch_size=[512, 512, 192])
    volume = placed(0)
    _, scores = monai_boxes(folder, volume, tmp_path / "case.nii.gz", windows=False)
    whole = [one.score for one in run(settings(folder), [volume]).candidates]
    np.testing.assert_allclose(whole, scores, atol=1e-5)
    forced = write_zoo_detector(tmp_path / "forced", force_sliding_window=True, infer_patch_size=[96, 96, 64])
    in_windows = [one.score for one in run(settings(forced), [volume]).candidates]
    assert np.abs(np.subtract(whole, in_windows)).max() > 1e-3  # a window is padded


def test_it_says_what_its_user_must_know(folder):
    package = ModelPackage.read(folder)
    assert (package.task, package.modality, package.channels[0].name) == ("detection", "CT", "image")
    assert [(one.value, one.name) for one in package.labels] == [(1, "Lung nodule")]
    progress = RecordingProgress()
    result = run(settings(folder), [placed(0)], progress)
    assert result.threshold == 0.5
    assert any("does not say from which score on" in warning for warning in result.record.warnings)
    assert result.record.model_sha256 == package.sha256
    assert sum(stage == "Searching" for _, stage in progress.reports) > 2
    assert progress.reports[-1] == (1.0, "Done")
    assert {one.score >= 0.5 for one in result.findings} <= {True}
    assert all(one.location for one in result.candidates)
    assert not (folder / RAN).exists()


def test_the_command_line_runs_it(tmp_path, folder, capsys):
    volume = placed(0)
    boxes, scores = monai_boxes(folder, volume, tmp_path / "case.nii.gz", windows=True)
    arguments = ["detect", str(tmp_path / "case.nii.gz"), "-o", str(tmp_path / "out"), "--model", str(folder)]
    assert main([*arguments, "--device", "cpu", "--precision", "fp32", "--threshold", "0.02"]) == 0
    lines = (tmp_path / "out" / "case.candidates.csv").read_text().splitlines()
    header = lines[0].split(",")
    rows = np.array([line.split(",")[1:] for line in lines[1:]], dtype=float)
    assert header[1:4] == ["coordX", "coordY", "coordZ"]
    np.testing.assert_allclose(rows[:, header.index("probability") - 1], scores, atol=1e-4)
    assert header[-3:] == ["sizeX_mm", "sizeY_mm", "sizeZ_mm"]
    np.testing.assert_allclose(rows[:, -3:], boxes[:, 3:], atol=CLOSE_MM)
    measured = run(replace(settings(folder), measure=True, threshold=0.02), [volume])  # middles are those of segments
    middles = np.array([one.center_ras_mm for one in measured.candidates]) * [-1, -1, 1]
    np.testing.assert_allclose(rows[:, :3], middles, atol=CLOSE_MM)


def test_it_can_be_stopped_between_windows(folder):
    with pytest.raises(Cancelled):
        run(settings(folder), [placed(0)], RecordingProgress(cancel_at=0.3))


def test_it_is_not_run_as_another_task(folder):
    with pytest.raises(SettingsError, match="is for detection; choose one for segmentation"):
        run(SegmentationSettings(str(folder)), [placed(0)])


INFERER = CONFIG["inferer"]
LAMBDA = step("Lambdad", "box", func="$lambda x: x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inferer": {**INFERER, "_target_": "scripts.inferer.Other"}}, r"asks for .*scripts\.inferer\.Other"),
        ({"inferer": {**INFERER, "extra": 1}}, r"extra.*only scripts\.detection_inferer\.RetinaNetInferer with"),
        ({"detector_ops": ["$@detector.load_state_dict({})"]}, "asks for .*load_state_dict"),
        ({"postprocessing": transforms(LAMBDA)}, "asks for the function in Lambdad"),
        ({"detector": "$__import__('os')"}, "asks for .*__import__"),
    ],
)
def test_what_is_refused_is_named(tmp_path, changes, message):
    folder = write_zoo_detector(tmp_path / "refused")
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps({**CONFIG, **changes}), encoding="utf-8")
    if "load_state_dict" in message:  # a method is only known of the object itself
        with pytest.raises(ConfigError, match=message):
            run(settings(folder), [placed(0)])
    else:
        with pytest.raises(ConfigError, match=message):
            ModelPackage.read(folder)


def test_weights_that_do_not_fit_are_told(tmp_path):
    folder = write_zoo_detector(tmp_path / "other")
    path = folder / "configs" / "inference.json"
    path.write_text(path.read_text().replace("widen_factor=0.125", "widen_factor=0.25"), encoding="utf-8")
    with pytest.raises(ModelError, match=r"don't fit their network: \d+ of another shape .*feature_extractor\.body"):
        run(settings(folder), [placed(0)])


def test_objects_of_several_kinds_are_not_run(tmp_path):
    folder = write_zoo_detector(tmp_path / "two")
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] = 2
    path.write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ModelError, match="neither objects of one kind nor classes"):
        ModelPackage.read(folder)
