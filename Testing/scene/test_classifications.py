"""Classifications in the scene: table, attributes, heat map; and the console's functions that bring them there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_classifier import write_tiny_classifier

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib import classify_array, classify_file, classify_volume_node
from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.wording import probability_in_words
from SlicerCNNSegLib.scene.classifications import classes_of, remove_classes, show_classes, show_heat
from SlicerCNNSegLib.scene.geometry import voxels
from SlicerCNNSegLib.scene.records import record_of
from SlicerCNNSegLib.worker.fake import FakeWorker
from SlicerCNNSegLib.worker.interface import Ended

pytestmark = pytest.mark.slicer

SIZE_IJK = (30, 28, 24)
TRANSFORMS = [
    {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 100, "b_min": -0.5, "b_max": 1.0},
    {"_target_": "Resized", "spatial_size": list(SIZE_IJK)},
]
TURNED = np.array([[0, -1, 0, 11], [1, 0, 0, -7], [0, 0, 1, 5], [0, 0, 0, 1.0]])


@pytest.fixture
def a_model(tmp_path):
    """Its Grad-CAM for "bright" is the blob itself."""
    return write_tiny_classifier(tmp_path / "bright", transforms=TRANSFORMS)


def rows_of(node):
    return [
        tuple(node.GetTable().GetValue(row, column).ToString() for column in range(node.GetNumberOfColumns()))
        for row in range(node.GetNumberOfRows())
    ]


def hottest_in_world(node):
    """Centre of the hottest places, carried to the world by MRML's own transforms, RAS mm."""
    import vtk

    heat = voxels(node.GetImageData())[0]
    index = np.argwhere(heat > 0.5 * heat.max())[:, ::-1].mean(axis=0)
    matrix, point = vtk.vtkMatrix4x4(), [0.0, 0.0, 0.0]
    node.GetIJKToRASMatrix(matrix)
    node.TransformPointToWorld(matrix.MultiplyPoint([*index, 1.0])[:3], point)
    return np.array(point)


def test_a_row_for_each_region_and_class(a_scene, a_model, a_head_with_a_blob):
    head = a_head_with_a_blob(np.eye(4))
    r, a, s = head.blob_ras_mm
    regions = tuple(
        Region("ras", (x - 4, x + 4, a - 4, a + 4, s - 4, s + 4), name) for name, x in (("one", r), ("two", r - 3))
    )
    shown = classify_volume_node(head.node, a_model, region=regions, device="cpu")
    assert shown.heat is None
    rows = rows_of(shown.table)
    assert [row[:2] for row in rows] == [("one", "bright"), ("one", "dark"), ("two", "bright"), ("two", "dark")]
    wanted = [p for one in shown.result.predictions for p in one.probabilities]
    assert [row[2] for row in rows] == [probability_in_words(p) for p in wanted]
    assert [row[4] for row in rows] == ["yes" if p >= 0.5 else "no" for p in wanted]
    assert {row[3] for row in rows} == {""}
    kept = [p for row in classes_of(head.node) for p in row["probabilities"].values()]
    assert kept == pytest.approx(wanted, abs=1e-6), "as a number"
    assert record_of(shown.table)["model_id"] == "bright"
    again = classify_volume_node(head.node, a_model, table=shown.table, device="cpu")
    assert again.table is shown.table
    assert [row[:2] for row in rows_of(again.table)] == [("", "bright"), ("", "dark")]
    a_scene.RemoveNode(shown.table)
    assert show_classes(a_scene, shown.result, shown.table) is not shown.table


def test_the_spread_of_an_ensemble_has_its_column(tmp_path, a_head_with_a_blob):
    folder = write_tiny_classifier(tmp_path / "two", transforms=TRANSFORMS, members=({}, {"reverse": True}))
    shown = classify_volume_node(a_head_with_a_blob(np.eye(4)).node, folder, device="cpu")
    spread = shown.result.predictions[0].spread[0]
    assert spread > 0.01
    assert float(rows_of(shown.table)[0][3]) == pytest.approx(spread, abs=0.005)


def test_the_volume_keeps_its_classes(a_model, a_head_with_a_blob):
    node = a_head_with_a_blob(np.eye(4)).node
    shown = classify_volume_node(node, a_model, device="cpu")
    assert classes_of(node) == json.loads(json.dumps(shown.result.rows()))
    assert record_of(node)["task"] == "classification"
    remove_classes(node)
    assert (classes_of(node), record_of(node)) == (None, None)


@pytest.mark.parametrize("parent", ["none", "linear", "grid"])
def test_the_heat_map_lies_where_the_image_is(
    parent, a_model, a_head_with_a_blob, a_linear_transform, a_bent_transform, oblique
):
    above = {
        "none": lambda: None,
        "linear": lambda: a_linear_transform(TURNED),
        "grid": lambda: a_bent_transform("grid"),
    }
    head = a_head_with_a_blob(oblique, above[parent]())
    heat = classify_volume_node(head.node, a_model, explain="gradcam", explain_class="bright", device="cpu").heat
    assert heat.GetTransformNodeID() == (None if parent == "grid" else head.node.GetTransformNodeID())
    np.testing.assert_allclose(hottest_in_world(heat), head.blob_in_world(), atol=1.5 if parent == "grid" else 0.2)
    low, high = heat.GetImageData().GetScalarRange()
    assert (low, high) == (0.0, pytest.approx(1.0, abs=1e-3))


def test_the_heat_map_stays_with_a_volume_that_moves_later(a_model, a_head_with_a_blob, a_linear_transform):
    head = a_head_with_a_blob(np.diag([-2.0, 1.5, 3.0, 1.0]), a_linear_transform(np.eye(4)))
    heat = classify_volume_node(head.node, a_model, explain="gradcam", explain_class="bright", device="cpu").heat
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(TURNED.ravel())
    head.node.GetParentTransformNode().SetMatrixTransformToParent(matrix)
    np.testing.assert_allclose(hottest_in_world(heat), head.blob_in_world(), atol=0.2)


def test_the_heat_map_is_laid_over_its_image_alone(a_scene, a_model, a_head_with_a_blob, a_volume_node):
    head, other = a_head_with_a_blob(np.eye(4)), a_volume_node(np.zeros((4, 4, 4), np.int16), name="Other")
    views = [a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _ in range(2)]
    for view, node in zip(views, (head.node, other), strict=True):
        view.SetBackgroundVolumeID(node.GetID())
    first = classify_volume_node(head.node, a_model, explain="gradcam", device="cpu")
    assert [view.GetForegroundVolumeID() for view in views] == [first.heat.GetID(), None]
    assert views[0].GetForegroundOpacity() == pytest.approx(0.5)
    display = first.heat.GetDisplayNode()
    assert (display.GetLowerThreshold(), display.GetApplyThreshold()) == (pytest.approx(0.05), 1)
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    again = classify_volume_node(head.node, a_model, explain="occlusion", heat=first.heat, device="cpu")
    assert again.heat is first.heat
    assert record_of(again.heat)["settings"]["explain"] == "occlusion"


def test_without_an_explanation_there_is_no_heat_map(a_scene, a_model, a_head_with_a_blob):
    node = a_head_with_a_blob(np.eye(4)).node
    result = classify_volume_node(node, a_model, device="cpu").result
    with pytest.raises(InputError, match="has no heat map; classify with explain="):
        show_heat(a_scene, result, node)


def test_around_the_segments_of_a_segmentation(a_model, a_head_with_a_blob, a_segmentation):
    head = a_head_with_a_blob(np.eye(4))
    blob = voxels(head.node.GetImageData())[0] > 0
    drawn = a_segmentation(head.node, {"Blob": blob, "Beside": np.roll(blob, 4, axis=2)})
    shown = classify_volume_node(head.node, a_model, segmentation=drawn, margin_mm=2, device="cpu")
    assert [one.name for one in shown.result.predictions] == ["Blob", "Beside"]
    assert (shown.result.predictions[0].start_ijk, shown.result.predictions[0].stop_ijk) == ((10, 8, 6), (18, 16, 14))
    with pytest.raises(InputError, match="regions or a segmentation to classify around, got both"):
        classify_volume_node(head.node, a_model, segmentation=drawn, region=Region("ijk", (0, 9, 0, 9, 0, 9)))


def test_files_arrays_and_workers_give_the_same(a_model, tmp_path):
    array = np.random.default_rng(0).normal(size=SIZE_IJK[::-1]).astype(np.float32)
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    from_file = classify_file(path, a_model, device="cpu")
    from_array = classify_array(array, np.diag([-1.0, -1.0, 1.0, 1.0]), a_model, device="cpu")
    assert from_file.rows() == from_array.rows()
    worker = FakeWorker([Ended(from_file)])
    assert classify_array(array, np.eye(4), a_model, worker=worker, explain="gradcam") is from_file
    assert worker.started[0][0].explain == "gradcam"
