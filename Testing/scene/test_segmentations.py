"""Results to segmentation nodes: where they lie, what they carry, what a second run leaves."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.scene.records import RUN_RECORD, record_of
from SlicerCNNSegLib.scene.segmentations import clear_segmentation, show_segmentation
from SlicerCNNSegLib.scene.volumes import volume_from_node

pytestmark = pytest.mark.slicer

ROTATION = np.array([[0.8, -0.6, 0, 12.0], [0.6, 0.8, 0, -7.0], [0, 0, 1, 30.0], [0, 0, 0, 1]])
SCALING = np.diag([1.5, 0.5, 2.0, 1.0])
MIRROR = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1]])
ANISOTROPIC = np.diag([-2.0, 1.5, 3.0, 1.0])
ALL_48 = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def segments_of(node):
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]


def names_of(node):
    return [segment.GetName() for segment in segments_of(node)]


@pytest.mark.parametrize(("order", "signs"), ALL_48)
def test_the_blob_lands_in_every_orientation(
    order, signs, a_scene, a_head_with_a_blob, a_linear_transform, a_result, centre_in_world
):
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, order] * np.array(signs) * [0.7, 1.3, 3.1]
    head = a_head_with_a_blob(matrix, a_linear_transform(ROTATION))
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    np.testing.assert_allclose(centre_in_world(node), head.blob_in_world(), atol=1e-4)


@pytest.mark.parametrize(
    "parents",
    [[], [ROTATION], [SCALING], [MIRROR], [ROTATION, SCALING, ROTATION], [MIRROR, ROTATION]],
    ids=["none", "rotation", "scaling", "mirror", "nested with shear", "nested mirror"],
)
def test_the_blob_lands_under_linear_parents_and_moves_with_them(
    parents, a_scene, a_head_with_a_blob, a_linear_transform, a_result, centre_in_world, oblique
):
    parent = None
    for matrix in parents:
        parent = a_linear_transform(matrix, parent=parent)
    head = a_head_with_a_blob(oblique, parent)
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    np.testing.assert_allclose(centre_in_world(node), head.blob_in_world(), atol=1e-4)
    assert node.GetTransformNodeID() == head.node.GetTransformNodeID()
    if parent is not None:
        before = head.blob_in_world()
        parent.Inverse()
        assert np.linalg.norm(head.blob_in_world() - before) > 1
        np.testing.assert_allclose(centre_in_world(node), head.blob_in_world(), atol=1e-4)


@pytest.mark.parametrize("kind", ["grid", "bspline", "thinplate"])
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "under a rotation"])
def test_the_blob_lands_under_bent_parents(
    kind, nested, a_scene, a_head_with_a_blob, a_bent_transform, a_linear_transform, a_result, centre_in_world
):
    above = a_linear_transform(ROTATION) if nested else None
    head = a_head_with_a_blob(ANISOTROPIC, a_bent_transform(kind, parent=above))
    volume = volume_from_node(head.node)
    node = show_segmentation(a_scene, a_result(volume), head.node)
    off_by_voxels = volume.geometry.ijk_from_ras(centre_in_world(node)) - volume.geometry.ijk_from_ras(
        head.blob_in_world()
    )
    assert np.abs(off_by_voxels).max() < 0.5  # 0.4 at most is the threshold's; the resampling is good to 0.05
    assert node.GetTransformNodeID() is None
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) == head.node.GetID()


def test_a_volume_moved_while_the_run_was_under_way_keeps_its_segments(
    a_scene, a_head_with_a_blob, a_linear_transform, a_result, centre_in_world
):
    head = a_head_with_a_blob(ANISOTROPIC)
    result = a_result(volume_from_node(head.node))
    head.node.SetAndObserveTransformNodeID(a_linear_transform(ROTATION).GetID())
    node = show_segmentation(a_scene, result, head.node)
    np.testing.assert_allclose(centre_in_world(node), head.blob_in_world(), atol=1e-4)


def test_a_result_without_a_known_node_goes_by_its_geometry(
    a_scene, a_head_with_a_blob, a_linear_transform, a_record, a_result, centre_in_world
):
    head = a_head_with_a_blob(ANISOTROPIC, a_linear_transform(ROTATION))
    same = a_result(volume_from_node(head.node))
    from_file = replace(same, record=a_record())
    assert show_segmentation(a_scene, from_file, head.node).GetTransformNodeID() == head.node.GetTransformNodeID()
    shifted = Geometry(same.geometry.shape_kji, ROTATION @ same.geometry.ijk_to_ras)
    elsewhere = replace(from_file, geometry=shifted)
    node = show_segmentation(a_scene, elsewhere, head.node)
    assert node.GetTransformNodeID() is None
    np.testing.assert_allclose(centre_in_world(node), (ROTATION @ [*head.blob_in_world(), 1])[:3], atol=1e-4)


def test_segments_carry_names_colours_and_codes(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    result = a_result(volume_from_node(head.node))
    result.labelmap[0, 0, 0], result.labelmap[1, 1, 1] = 3, 2
    result = replace(result)  # counts the voxels anew
    node = show_segmentation(a_scene, result, head.node)
    assert names_of(node) == ["Anterior hippocampus", "Left posterior hippocampus", "Something else"]
    front, back, uncoded = segments_of(node)
    assert front.GetColor() == pytest.approx((0.9, 0.3, 0.1))
    assert front.GetTerminology() == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^5366008^Hippocampus~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert back.GetTerminology().endswith("~SCT^5366008^Hippocampus~SCT^7771000^Left")
    assert "^Tissue~" in uncoded.GetTerminology()  # Slicer's default, which DICOM export needs
    assert [s.GetLabelValue() for s in segments_of(node)] == [1, 2, 3]
    assert node.GetSegmentation().GetNumberOfLayers() == 1  # one shared labelmap, not three
    assert node.GetName() == "Head segmentation"
    assert node.GetDisplayNode().GetSegmentVisibility("Segment_1")


def test_labels_that_were_not_found_make_no_segment(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    result = a_result(volume_from_node(head.node), value=2)
    assert names_of(show_segmentation(a_scene, result, head.node)) == ["Left posterior hippocampus"]
    nothing = a_result(volume_from_node(head.node), value=0)
    assert names_of(show_segmentation(a_scene, nothing, head.node)) == []


def test_the_reference_geometry_is_the_whole_volume(slicer, vtk, a_scene, a_head_with_a_blob, a_result, oblique):
    head = a_head_with_a_blob(oblique)
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    merged, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    node.GenerateMergedLabelmapForAllSegments(merged, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    merged.GetImageToWorldMatrix(matrix)
    expected = vtk.vtkMatrix4x4()
    head.node.GetIJKToRASMatrix(expected)
    assert merged.GetDimensions() == head.node.GetImageData().GetDimensions()
    assert [matrix.GetElement(r, c) for r in range(4) for c in range(4)] == pytest.approx(
        [expected.GetElement(r, c) for r in range(4) for c in range(4)], abs=1e-6
    )


def test_the_segmentation_stands_beside_the_volume_in_its_study(slicer, a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, head.node)
    result = a_result(volume_from_node(head.node))
    node = show_segmentation(a_scene, result, head.node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    other_study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Other")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(head.node), other_study)
    show_segmentation(a_scene, result, head.node, node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == other_study


def test_a_second_result_replaces_the_first(a_scene, a_head_with_a_blob, a_result, a_record, centre_in_world):
    head, other = a_head_with_a_blob(ANISOTROPIC), a_head_with_a_blob(np.diag([1.0, 1.0, 1.0, 1.0]), centred=False)
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node), value=2), head.node)
    volume = volume_from_node(other.node)
    second = replace(a_result(volume, value=1), record=a_record(volume, model_id="second"))
    assert show_segmentation(a_scene, second, other.node, node) is node
    assert names_of(node) == ["Anterior hippocampus"]
    assert record_of(node)["model_id"] == "second"
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) == other.node.GetID()
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode") == 1
    np.testing.assert_allclose(centre_in_world(node), other.blob_in_world(), atol=1e-4)


def test_a_second_result_can_be_undone(a_scene, a_head_with_a_blob, a_result, centre_in_world):
    head = a_head_with_a_blob(ANISOTROPIC)
    volume = volume_from_node(head.node)
    node = show_segmentation(a_scene, a_result(volume, value=2), head.node)
    node.SetUndoEnabled(True)
    a_scene.SetUndoOn()
    show_segmentation(a_scene, a_result(volume, value=1), head.node, node)
    a_scene.Undo()
    assert names_of(node) == ["Left posterior hippocampus"]
    np.testing.assert_allclose(centre_in_world(node, "Segment_2"), head.blob_in_world(), atol=1e-4)


def test_clearing_leaves_neither_segments_nor_record(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    clear_segmentation(node)
    assert names_of(node) == []
    assert record_of(node) is None


def test_nodes_deleted_meanwhile_lose_nothing(
    a_scene, a_head_with_a_blob, a_linear_transform, a_result, centre_in_world
):
    head = a_head_with_a_blob(ANISOTROPIC, a_linear_transform(ROTATION))
    result, place = a_result(volume_from_node(head.node)), head.blob_in_world()
    output = show_segmentation(a_scene, result, head.node)
    a_scene.RemoveNode(head.node)
    np.testing.assert_allclose(centre_in_world(output), place, atol=1e-4)
    a_scene.RemoveNode(output)
    node = show_segmentation(a_scene, result, head.node, output)
    assert node is not output
    assert node.GetName() == "hippocampus-mr segmentation"
    assert node.GetTransformNodeID() is None
    np.testing.assert_allclose(centre_in_world(node), place, atol=1e-4)
    np.testing.assert_allclose(centre_in_world(show_segmentation(a_scene, result, None)), place, atol=1e-4)


def test_a_reference_that_is_no_volume_changes_nothing(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    result = a_result(volume_from_node(head.node))
    node = show_segmentation(a_scene, result, head.node)
    with pytest.raises(InputError, match="Expected a volume node, got vtkMRMLTableNode"):
        show_segmentation(a_scene, result, a_scene.AddNewNodeByClass("vtkMRMLTableNode"), node)
    assert names_of(node) == ["Anterior hippocampus"]


def test_one_modified_event_per_result(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(ANISOTROPIC)
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    events = []
    node.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    show_segmentation(a_scene, a_result(volume_from_node(head.node), value=2), head.node, node)
    assert len(events) == 1


@pytest.mark.parametrize("suffix", ["mrb", "mrml"])
def test_a_saved_scene_keeps_segments_and_record(
    suffix, a_new_scene, tmp_path, a_scene, a_head_with_a_blob, a_linear_transform, a_result, centre_in_world
):
    head = a_head_with_a_blob(ANISOTROPIC, a_linear_transform(ROTATION))
    result = a_result(volume_from_node(head.node), value=2)
    show_segmentation(a_scene, result, head.node)
    again = a_new_scene()
    if suffix == "mrb":
        assert a_scene.WriteToMRB(str(tmp_path / "case.mrb"), None)
        again.ReadFromMRB(str(tmp_path / "case.mrb"), True, None)
    else:
        (tmp_path / "case").mkdir()
        assert a_scene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path / "case"), None)
        again.SetURL(str(next((tmp_path / "case").glob("*.mrml"))))
        again.Import()
    node = again.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert names_of(node) == ["Left posterior hippocampus"]
    (segment,) = segments_of(node)
    assert segment.GetColor() == pytest.approx((0.1, 0.6, 0.8), abs=1e-3)
    assert segment.GetTerminology() == result.labels[1].terminology
    assert record_of(node) == {**result.record.to_json(), "inputs": list(result.record.inputs),
                               "warnings": list(result.record.warnings)}  # fmt: skip
    assert node.GetAttribute(RUN_RECORD).startswith("{")
    np.testing.assert_allclose(centre_in_world(node, "Segment_2"), head.blob_in_world(), atol=1e-3)
