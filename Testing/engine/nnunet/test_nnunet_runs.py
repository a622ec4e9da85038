"""Models of nnU-Net give here what nnU-Net gives: ``expected.npz`` is its own (``make_expected.py``)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from nnunet_shapes import write_cascade, write_case
from tiny_nnunet import CASCADE, CASES, FIRST, SECOND, images

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.nnunet.importing import import_trained
from SlicerCNNSegLib.engine.nnunet.plan import NnunetPlan
from SlicerCNNSegLib.engine.nnunet.preparing import prepare
from SlicerCNNSegLib.engine.nnunet.reading import Choice, trained_models
from SlicerCNNSegLib.engine.package import FIRST_STAGE, ModelPackage
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

EXPECTED = np.load(Path(__file__).with_name("expected.npz"))
BOXES = ((0, 7, "low"), (7, 15, "high"))
"""Along k, half open, and names."""

UNTURNED = [name for name in CASES if "direction" not in CASES[name]]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Each case's model folder."""
    folder = tmp_path_factory.mktemp("models")
    for name in CASES:
        import_trained([write_case(folder / "trained" / name, name)], folder / name, Choice(id=name), NoProgress())
    return folder


def volumes(name):
    return [Volume.from_sitk(image) for image in images(CASES[name])]


def labelmap(models, name, **settings):
    return run(SegmentationSettings(str(models / name), device="cpu", force=True, **settings), volumes(name)).labelmap


@pytest.mark.parametrize("name", UNTURNED)
def test_images_are_prepared_as_nnunet_prepares_them(models, name):
    plan = NnunetPlan.from_config(ModelPackage.read(models / name).inference)
    stacked = Volume.stacked(volumes(name))
    spacing = tuple(float(mm) for mm in reversed(stacked.geometry.spacing_mm))
    prepared = prepare(plan, stacked.array, spacing, NoProgress())
    assert prepared.array.shape == tuple(EXPECTED[f"{name} size"])
    np.testing.assert_allclose(prepared.array[:, ::2, ::2, ::2], EXPECTED[f"{name} prepared"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", ["plain", "mirrored"])
@pytest.mark.parametrize("name", CASES)
def test_labels_are_those_of_nnunet(models, name, way):
    expected = EXPECTED[f"{name} {way}"]
    assert len(np.unique(expected)) > 2  # the images and weights give several structures
    found = labelmap(models, name, mirror=way == "mirrored")
    assert found.shape == expected.shape
    assert np.mean(found == expected) >= 0.999


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """The cascade's model folder."""
    folder = tmp_path_factory.mktemp("cascade")
    trained = write_cascade(folder / "results")
    import_trained(trained_models(trained), folder / "cascade", Choice(configuration=SECOND), NoProgress())
    return folder / "cascade"


@pytest.mark.parametrize("way", ["plain", "mirrored"])
def test_the_second_stage_of_a_cascade_gives_nnunets_labels(cascade, way):
    expected = EXPECTED[f"{SECOND} {way}"]
    assert len(np.unique(expected)) == 3
    assert np.mean(expected != EXPECTED[f"{FIRST} {way}"]) > 0.01  # the second stage does something
    given = [Volume.from_sitk(image) for image in images(CASCADE[SECOND])]
    progress = RecordingProgress()
    settings = SegmentationSettings(str(cascade), device="cpu", force=True, mirror=way == "mirrored")
    found = run(settings, given, progress).labelmap
    assert np.mean(found == expected) >= 0.999
    assert [fraction for fraction, _ in progress.reports] == sorted(fraction for fraction, _ in progress.reports)


def test_the_first_stage_makes_a_difference(cascade, tmp_path):
    """Other weights of the first stage give other labels, and another checksum."""
    other = tmp_path / "other"
    shutil.copytree(cascade, other)
    first, _ = sorted((other / FIRST_STAGE / "models").glob("*.safetensors"))
    first.unlink()
    assert ModelPackage.read(other).sha256 != ModelPackage.read(cascade).sha256
    given = [Volume.from_sitk(image) for image in images(CASCADE[SECOND])]
    labels = [
        run(SegmentationSettings(str(folder), device="cpu", force=True), given).labelmap for folder in (cascade, other)
    ]
    assert np.mean(labels[0] != labels[1]) > 0.001
    shutil.rmtree(other / FIRST_STAGE)
    with pytest.raises(ModelError, match="lacks the first stage of its cascade; install it again"):
        run(SegmentationSettings(str(other), device="cpu", force=True), given)


def test_mirroring_changes_labels():
    for name in CASES:
        assert np.mean(EXPECTED[f"{name} plain"] != EXPECTED[f"{name} mirrored"]) > 0.01


def test_the_record_says_what_ran(models):
    progress = RecordingProgress()
    result = run(SegmentationSettings(str(models / "ct"), device="cpu"), volumes("ct"), progress)
    assert (result.record.model_id, result.record.precision, result.record.device) == ("ct", "fp32", "cpu")
    assert [label.name for label in result.labels] == ["liver", "left kidney"]
    assert result.labels[1].modifier.meaning == "Left"
    assert [fraction for fraction, _ in progress.reports] == sorted(fraction for fraction, _ in progress.reports)
    assert {"Preparing the image", "Running the network", "Resampling"} <= {stage for _, stage in progress.reports}


def test_named_regions_give_labels_of_their_own(models):
    first, second = (Region("ijk", (1, 17, 1, 19, low, high), name) for low, high, name in BOXES)
    settings = SegmentationSettings(str(models / "ct"), regions=(first, second), device="cpu")
    result = run(settings, volumes("ct"))
    assert [(label.value, label.name) for label in result.labels] == [
        (1, "Low liver"),
        (2, "Low left kidney"),
        (3, "High liver"),
        (4, "High left kidney"),
    ]
    assert set(np.unique(result.labelmap[:7])) == {0, 1, 2}
    assert set(np.unique(result.labelmap[7:])) == {0, 3, 4}


def test_a_single_slice_is_for_networks_of_slices_alone(models):
    one = [volume.cropped((0, 0, 7), (18, 20, 8)) for volume in volumes("ct")]
    with pytest.raises(Exception, match="expects a 3-D volume"):
        run(SegmentationSettings(str(models / "ct"), device="cpu"), one)
    flat = [volume.cropped((0, 5, 0), (18, 6, 15)) for volume in volumes("slices")]
    found = run(SegmentationSettings(str(models / "slices"), device="cpu", force=True), flat)
    assert found.labelmap.shape == (15, 1, 18)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("patch_size", [16, 12], "2 or 3 positive sizes"),
        ("transpose", [0, 0, 1], "an order of the axes"),
        ("mirror_axes", [3], "axes below 3"),
        ("orientation", "LPS", "an orientation out of"),
        ("intensities", [{"scheme": "os.system"}], "normalisation 'os.system' of nnU-Net is not known"),
        ("images", {"function": "os.system"}, "resampling by 'os.system' is not known"),
        ("scores", {"order": 9}, "spline order from 0 to 5, got 9|spline order from 0 to 5 for nnU-Net's"),
        ("region_values", None, "is damaged"),
    ],
)
def test_a_damaged_block_is_told(models, key, value, fault):
    inference = json.loads((models / "ct" / "configs" / "inference.json").read_text(encoding="utf-8"))
    inference["nnunet"][key] = value
    with pytest.raises(ModelError, match=fault):
        NnunetPlan.from_config(inference)
