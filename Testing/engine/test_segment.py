"""Segmentation from end to end through the front door, with a network whose answer is known."""

import numpy as np
import pytest
import torch
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.engine import segment as segment_module
from SlicerCNNSegLib.engine.errors import Cancelled, ModelError, RegionError, SettingsError
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

TILTED = np.array([[0.8, -0.5, 0.1], [0.6, 0.7, -0.2], [0.0, 0.2, 2.4]])
"""Its QR factor is an oblique, left- or right-handed set of axes."""


@pytest.fixture
def blob():
    """A bright box in noise, on an oblique grid; the box is index [k 6:12, j 8:15, i 10:22]."""
    array = np.random.default_rng(0).normal(0, 0.5, (1, 20, 24, 30)).astype(np.float32)
    array[0, 6:12, 8:15, 10:22] += 100
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(TILTED)[0] * np.array([1.0, 1.0, 2.5])
    matrix[:3, 3] = (5.0, -9.0, 30.0)
    return Volume(array, matrix, source="blob")


@pytest.fixture
def expected():
    mask = np.zeros((20, 24, 30), bool)
    mask[6:12, 8:15, 10:22] = True
    return mask


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("axcodes", ["RAS", "LPI", "SAR"])
def test_a_blob_is_found_where_it_lies(tmp_path, blob, expected, axcodes, precision):
    folder = write_tiny_model(tmp_path / "tiny", axcodes=axcodes)
    result = run(SegmentationSettings(str(folder), device="cpu", precision=precision, mirror=True), [blob])
    np.testing.assert_array_equal(result.labelmap == 1, expected)
    assert result.labelmap.dtype == np.uint8
    assert result.geometry.matches(blob.geometry)
    (structure,) = result.structures
    assert structure.voxels == 6 * 7 * 12
    assert structure.volume_mm3 == pytest.approx(6 * 7 * 12 * 2.5)
    assert result.mask("Blob").sum() == 6 * 7 * 12


def test_another_spacing_moves_the_border_by_less_than_a_voxel(tmp_path, blob, expected):
    folder = write_tiny_model(tmp_path / "tiny", spacing_mm=(1.3, 1.3, 1.3))
    found = run(SegmentationSettings(str(folder), device="cpu"), [blob]).labelmap == 1
    core = expected.copy()
    core[:] = False
    core[7:11, 9:14, 11:21] = True
    shell = np.zeros_like(expected)
    shell[5:13, 7:16, 9:23] = True
    assert found[core].all()
    assert not found[~shell].any()


@pytest.mark.parametrize("slices", [1, 3])
def test_slice_models_run_on_volumes_and_on_single_slices(tmp_path, blob, expected, slices):
    network = {"_target_": "Threshold", "in_channels": slices, "dims": 2}
    folder = write_tiny_model(tmp_path / "tiny", network=network, window=(16, 16), slices=slices)
    settings = SegmentationSettings(str(folder), device="cpu", precision="fp32")
    np.testing.assert_array_equal(run(settings, [blob]).labelmap == 1, expected)
    slice_7 = blob.cropped((0, 0, 7), (30, 24, 8))
    np.testing.assert_array_equal(run(settings, [slice_7]).labelmap[0] == 1, expected[7])


def test_a_region_restricts_the_run(tmp_path, blob, expected):
    folder = write_tiny_model(tmp_path / "tiny")
    region = Region("ijk", (12, 30, 0, 24, 0, 10))
    found = run(SegmentationSettings(str(folder), regions=(region,), device="cpu"), [blob]).labelmap == 1
    expected[10:] = False
    expected[:, :, :12] = False
    np.testing.assert_array_equal(found, expected)


def test_overlapping_regions_keep_what_either_found(tmp_path, blob, expected):
    blob.array[0, 8, 10, 27] = 1e6  # in the second region alone: its mean rises, and the blob is below it there
    folder = write_tiny_model(tmp_path / "tiny")
    regions = (Region("ijk", (0, 24, 0, 24, 0, 20)), Region("ijk", (8, 30, 6, 17, 4, 14)))
    settings = [SegmentationSettings(str(folder), (region,), device="cpu") for region in regions]
    first, second = (run(one, [blob]).labelmap == 1 for one in settings)
    assert (first & ~second).any()
    both = run(SegmentationSettings(str(folder), regions, device="cpu"), [blob]).labelmap == 1
    np.testing.assert_array_equal(both, first | second)


def test_the_overlap_asked_for_is_used(tmp_path, blob):
    folder = str(write_tiny_model(tmp_path / "tiny"))
    batches = []
    for overlap in (None, 0.0, 0.75):
        recording = RecordingProgress()
        run(SegmentationSettings(folder, device="cpu", overlap=overlap), [blob], recording)
        batches.append(sum(stage == "Running the network" for _, stage in recording.reports))
    assert batches[1] < batches[0] < batches[2]  # the model's own overlap is 0.5


def test_named_regions_give_labels_of_their_own(tmp_path, blob):
    folder = write_tiny_model(tmp_path / "tiny")
    regions = (Region("ijk", (0, 16, 0, 24, 0, 20), "left"), Region("ijk", (16, 30, 0, 24, 0, 20), "right"))
    result = run(SegmentationSettings(str(folder), regions=regions, device="cpu"), [blob])
    assert [(s.value, s.name, s.voxels) for s in result.structures] == [
        (1, "Left blob", 6 * 7 * 6),
        (2, "Right blob", 6 * 7 * 6),
    ]
    assert "SCT^7771000^Left" in result.labels[0].terminology


def test_an_ensemble_and_postprocessing_are_applied(tmp_path, blob, expected):
    blob.array[0, 0, 0, 0] = 100  # a speck
    folder = write_tiny_model(tmp_path / "tiny", members=2, postprocess={"largest_component": True})
    settings = SegmentationSettings(str(folder), device="cpu")
    np.testing.assert_array_equal(run(settings, [blob]).labelmap == 1, expected)
    raw = run(SegmentationSettings(str(folder), device="cpu", postprocess=False), [blob])
    assert raw.labelmap[0, 0, 0] == 1


def test_the_record_tells_how_the_result_came_about(tmp_path, blob):
    folder = write_tiny_model(tmp_path / "tiny")
    record = run(SegmentationSettings(str(folder), device="cpu", precision="fp32"), [blob]).record
    assert (record.task, record.model_id, record.device, record.precision) == ("segmentation", "tiny", "cpu", "fp32")
    assert len(record.model_sha256) == 64
    assert set(record.seconds) == {"check", "device", "preprocess", "load model", "network", "postprocess"}
    assert {"cnnseg", "torch", "monai", "numpy", "python"} <= set(record.versions)
    assert record.inputs[0]["size_ijk"] == [30, 24, 20]
    assert record.to_json()["inputs"][0]["source"] == "blob"


def test_two_runs_give_the_same_voxels(tmp_path, blob):
    settings = SegmentationSettings(str(write_tiny_model(tmp_path / "tiny", network=RANDOM_UNET)), device="cpu")
    first, second = run(settings, [blob]).labelmap, run(settings, [blob]).labelmap
    np.testing.assert_array_equal(first, second)
    assert 0 < (first == 1).sum() < first.size


def test_when_memory_runs_out_the_run_goes_on_smaller_and_says_so(tmp_path, blob, expected, monkeypatch):
    real = segment_module.predict_planes

    def short_of_memory(image, networks, inferer, progress, **more):
        if inferer.batch > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(image, networks, inferer, progress, **more)

    monkeypatch.setattr(segment_module, "predict_planes", short_of_memory)
    result = run(SegmentationSettings(str(write_tiny_model(tmp_path / "tiny")), device="cpu"), [blob])
    np.testing.assert_array_equal(result.labelmap == 1, expected)
    assert result.record.warnings == ("Memory ran out with 2 window(s) at once on cpu, stitched on cpu.",)


@pytest.mark.parametrize("cancel_at", [0.0, 0.05, 0.5, 0.9])
def test_a_run_can_be_cancelled_at_every_stage(tmp_path, blob, cancel_at):
    folder = write_tiny_model(tmp_path / "tiny")
    with pytest.raises(Cancelled):
        run(SegmentationSettings(str(folder), device="cpu"), [blob], RecordingProgress(cancel_at))


def test_progress_never_goes_back(tmp_path, blob):
    recording = RecordingProgress()
    regions = (Region("ijk", (0, 16, 0, 24, 0, 20)), Region("ijk", (16, 30, 0, 24, 0, 20)))
    run(SegmentationSettings(str(write_tiny_model(tmp_path / "tiny")), regions, device="cpu"), [blob], recording)
    fractions = [fraction for fraction, _ in recording.reports]
    assert fractions == sorted(fractions)
    assert recording.reports[-1] == (1.0, "Done")


def test_a_region_outside_the_image_is_refused(tmp_path, blob):
    regions = (Region("ras", (900, 910, 900, 910, 900, 910)),)
    with pytest.raises(RegionError, match=r"holds no voxel of the image"):
        run(SegmentationSettings(str(write_tiny_model(tmp_path / "tiny")), regions), [blob])


def test_classes_that_are_not_in_the_metadata_are_refused(tmp_path, blob):
    three = {**RANDOM_UNET, "out_channels": 3}
    with pytest.raises(ModelError, match=r"gives 3 classes, but its metadata lists 1 labels and background"):
        run(SegmentationSettings(str(write_tiny_model(tmp_path / "tiny", network=three)), device="cpu"), [blob])


def test_settings_of_no_task_are_refused(blob):
    with pytest.raises(SettingsError, match=r"Expected SegmentationSettings, .* or DetectionSettings, got dict"):
        run({"model": "x"}, [blob])
