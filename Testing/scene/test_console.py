"""The Python API: every door leads to the same result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tiny_model
from tiny_model import write_tiny_model

import SlicerCNNSegLib
from SlicerCNNSegLib import list_models, load_model, segment_array, segment_file, segment_volume_node
from SlicerCNNSegLib.engine.errors import InputError, SettingsError, UnknownModelError
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.worker.fake import FakeWorker
from SlicerCNNSegLib.worker.interface import Ended, Progressed

ANY_MODALITY = (("image", ""),)
LAUNCH_WITH_THRESHOLD = (
    f"import json, sys; sys.path[:0] = {{folders!r}} + [{str(Path(tiny_model.__file__).parent)!r}]; import tiny_model; "
    "from SlicerCNNSegLib.worker.server import main; main(json.loads(sys.argv[1]))"
)
"""Starts a worker that has the tests' network too."""


@pytest.fixture
def a_model(tmp_path, monkeypatch) -> Path:
    """The user's model ``bright``: finds what is brighter than the mean."""
    folder = tmp_path / "models"
    monkeypatch.setenv("CNNSEG_MODELS", str(folder))
    return write_tiny_model(folder / "bright", channels=ANY_MODALITY)


@pytest.fixture
def a_blob() -> tuple[np.ndarray, np.ndarray]:
    """An array (k, j, i) with a bright box, and the box as a mask."""
    array = np.zeros((14, 16, 18), np.float32)
    array[3:7, 8:12, 5:10] = 100
    return array, array > 0


def an_roi(scene, vtk, name, centre_ras_mm, size_mm):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetSize(*size_mm)
    node.SetCenter(vtk.vtkVector3d(*centre_ras_mm))
    return node


def test_the_package_is_light_and_names_what_it_has():
    code = (
        "import sys, SlicerCNNSegLib; assert 'numpy' not in sys.modules; SlicerCNNSegLib.list_models; "
        "print(sorted({'torch', 'monai', 'SimpleITK', 'slicer', 'vtk', 'qt'} & set(sys.modules)))"
    )
    folder = Path(SlicerCNNSegLib.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(SlicerCNNSegLib.__all__) <= set(dir(SlicerCNNSegLib))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="no attribute 'segment'; its names are WorkerClient, classify_array"):
        SlicerCNNSegLib.segment  # noqa: B018


def test_models_are_listed_and_loaded(a_model):
    assert "bright" in [entry.id for entry in list_models()]
    assert load_model("bright").folder == a_model
    assert load_model(a_model).id == "bright"
    with pytest.raises(UnknownModelError, match="No model 'dull'"):
        load_model("dull")


def test_a_file(a_model, a_blob, tmp_path):
    array, mask = a_blob
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    for given in (path, str(path), [path]):
        result = segment_file(given, "bright", device="cpu")
        np.testing.assert_array_equal(result.mask("Blob"), mask)
    assert result.record.inputs[0]["source"] == str(path)


def test_an_array_with_and_without_channel_axis(a_model, a_blob):
    array, mask = a_blob
    matrix = np.diag([2.0, 2.0, 3.0, 1.0])
    for given in (array, array[None]):
        result = segment_array(given, matrix, load_model("bright"), device="cpu")
        np.testing.assert_array_equal(result.labelmap, mask)
    assert result.structures[0].volume_mm3 == mask.sum() * 12.0


def test_progress_and_settings_are_passed_on(a_model, a_blob):
    progress = RecordingProgress()
    region = Region("ijk", (0, 18, 0, 16, 0, 5))
    result = segment_array(a_blob[0], np.eye(4), a_model, regions=(region,), progress=progress, precision="fp32")
    assert progress.reports[-1][0] == 1.0
    assert result.record.settings["regions"] == ["ijk:0,18,0,16,0,5"]
    assert result.labelmap[5:].max() == 0
    with pytest.raises(SettingsError, match="Expected a precision"):
        segment_array(a_blob[0], np.eye(4), a_model, precision="fp8")
    with pytest.raises(TypeError, match="devcie"):
        segment_array(a_blob[0], np.eye(4), a_model, devcie="cpu")


def test_a_volume_node_under_a_transform(a_model, a_head_with_a_blob, a_linear_transform, centre_in_world):
    turned = np.array([[0, -1, 0, 11], [1, 0, 0, -7], [0, 0, 1, 5], [0, 0, 0, 1.0]])
    head = a_head_with_a_blob(np.diag([-1.0, 1.0, 2.0, 1.0]), a_linear_transform(turned))
    node = segment_volume_node(head.node, "bright", device="cpu")
    assert node.GetScene() is head.node.GetScene()
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "Blob"
    np.testing.assert_allclose(centre_in_world(node), head.blob_in_world(), atol=1e-3)


def test_the_output_is_emptied_and_filled(a_scene, a_model, a_head_with_a_blob):
    head = a_head_with_a_blob(np.eye(4))
    old = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    old.GetSegmentation().AddEmptySegment("yesterday")
    assert segment_volume_node(head.node, "bright", output=old, device="cpu") is old
    segmentation = old.GetSegmentation()
    assert [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())] == ["Blob"]


def test_several_named_regions_are_kept_apart(a_scene, vtk, a_model, a_head_with_a_blob):
    head = a_head_with_a_blob(np.eye(4))
    r, a, s = head.blob_ras_mm
    left = an_roi(a_scene, vtk, "Left", (r - 2, a, s), (4, 12, 12))
    right = an_roi(a_scene, vtk, "Right", (r + 3, a, s), (4, 12, 12))
    node = segment_volume_node(head.node, "bright", region=[left, right], device="cpu")
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["Left blob", "Right blob"]


def test_one_region_needs_no_name(a_scene, vtk, a_model, a_head_with_a_blob):
    head = a_head_with_a_blob(np.eye(4))
    roi = an_roi(a_scene, vtk, "R", head.blob_ras_mm, (10, 10, 10))
    for region in (roi, Region("ras", tuple(np.ravel([(x - 5, x + 5) for x in head.blob_ras_mm])))):
        node = segment_volume_node(head.node, "bright", region=region, device="cpu")
        assert node.GetSegmentation().GetNthSegment(0).GetName() == "Blob"


def test_several_nodes_are_the_models_channels(a_volume_node, tmp_path, a_blob):
    folder = write_tiny_model(
        tmp_path / "two",
        network={"_target_": "Threshold", "in_channels": 2, "dims": 3},
        channels=(("T1", "MR"), ("T2", "MR")),
    )
    array, mask = a_blob
    first = a_volume_node(np.random.default_rng(0).normal(size=array.shape).astype(np.float32), name="T1")
    node = segment_volume_node([first, a_volume_node(array, name="T2")], folder, device="cpu")
    record = node.GetAttribute("CNNSeg.RunRecord")
    assert '"source": "T1"' in record
    assert '"source": "T2"' in record
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    assert mask.any()


def test_a_node_without_a_scene(slicer, a_scene, a_model, a_head_with_a_blob):
    head = a_head_with_a_blob(np.eye(4))
    loose = slicer.vtkMRMLScalarVolumeNode()
    loose.SetName("loose")
    loose.SetAndObserveImageData(head.node.GetImageData())
    with pytest.raises(InputError, match="loose is in no scene; add it to one or pass scene="):
        segment_volume_node(loose, "bright")
    assert segment_volume_node(loose, "bright", scene=a_scene, device="cpu").GetScene() is a_scene


def test_a_failing_run_leaves_the_output_as_it_was(a_scene, a_model, a_volume_node):
    empty = a_volume_node(np.zeros((6, 6, 6), np.float32), name="empty")
    output = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    output.GetSegmentation().AddEmptySegment("kept")
    with pytest.raises(InputError, match="empty is empty"):
        segment_volume_node(empty, "bright", output=output, device="cpu")
    assert output.GetSegmentation().GetNumberOfSegments() == 1


def test_with_a_worker_it_is_the_worker_that_runs(a_model, a_blob):
    array, _ = a_blob
    here = segment_array(array, np.eye(4), "bright")
    worker, progress = FakeWorker([Progressed(0.5, "Half"), Ended(here)]), RecordingProgress()
    assert segment_array(array, np.eye(4), "bright", worker=worker, progress=progress, mirror=True) is here
    ((settings, (volume,)),) = worker.started
    assert (settings.model, settings.mirror) == ("bright", True)
    np.testing.assert_array_equal(volume.array[0], array)
    assert progress.reports == [(0.5, "Half")]


def test_a_worker_in_its_own_process_gives_the_same_result(a_model, a_blob, tmp_path, monkeypatch):
    """The real engine in a real worker, from file to scene."""
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path / "logs"))
    array, mask = a_blob
    model = load_model("bright")
    with SlicerCNNSegLib.WorkerClient(launch=LAUNCH_WITH_THRESHOLD) as worker:
        result = segment_array(array, np.eye(4), model, worker=worker, device="cpu")
        here = segment_array(array, np.eye(4), model, device="cpu")
        np.testing.assert_array_equal(result.labelmap, mask)
        np.testing.assert_array_equal(result.labelmap, here.labelmap)
        same = ("model_sha256", "settings", "device", "precision", "versions", "inputs", "warnings")
        assert [getattr(result.record, name) for name in same] == [getattr(here.record, name) for name in same]
        assert set(result.record.seconds) == set(here.record.seconds)
        with pytest.raises(UnknownModelError, match="No model 'dark': expected one of"):
            segment_array(array, np.eye(4), "dark", worker=worker)
