"""Results onto the reference geometry of a segmentation, and into segments through the real Segment Editor logic."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.result import SegmentationResult
from SlicerCNNSegLib.scene.geometry import array_from_matrix, voxels
from SlicerCNNSegLib.scene.segment_writing import new_segment_image, on_reference_geometry
from SlicerCNNSegLib.scene.volumes import volume_from_node

pytestmark = pytest.mark.slicer

SHAPE = (8, 9, 10)


class Editor:
    """The real logic of the Segment Editor, set to a segmentation and its source volume."""

    def __init__(self, slicer, node, volume) -> None:
        self.slicer, self.node = slicer, node
        self.parameters = node.GetScene().AddNode(slicer.vtkMRMLSegmentEditorNode())
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.SetSegmentEditorNode(self.parameters)
        self.logic.SetSegmentationNode(node)
        self.logic.SetSourceVolumeNode(volume)
        self.logic.UpdateReferenceGeometryImage()
        self.logic.ResetModifierLabelmapToDefault()
        self.logic.UpdateAlignedSourceVolume()
        self.reference = self.logic.GetReferenceGeometryImage()

    def write(self, segment_id, image) -> None:
        self.logic.UpdateMaskLabelmap()
        self.logic.ModifySegmentByLabelmap(self.node, segment_id, image, self.logic.ModificationModeSet, False, False)

    def mask(self, segment_id) -> np.ndarray:
        """The segment on the reference grid, (k, j, i), bool."""
        found, image = np.zeros(self.reference.GetDimensions()[::-1], bool), self.slicer.vtkOrientedImageData()
        self.node.GetBinaryLabelmapRepresentation(segment_id, image)
        if image.GetNumberOfPoints():
            i0, i1, j0, j1, k0, k1 = image.GetExtent()
            found[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels(image)[0] > 0
        return found


@pytest.fixture
def a_case(slicer, a_volume_node, a_segmentation, a_record):
    """A volume, a drawn segment ``Segment_1``'s id, its editor, and results with any labelmap."""

    def make(drawn: np.ndarray, ijk_to_ras: np.ndarray | None = None):
        volume = a_volume_node(np.arange(drawn.size, dtype=np.int16).reshape(drawn.shape), ijk_to_ras)
        node = a_segmentation(volume, {"drawn": drawn})
        node.CreateDefaultDisplayNodes()
        editor = Editor(slicer, node, volume)

        def result(labelmap: np.ndarray) -> SegmentationResult:
            seen = volume_from_node(volume)
            return SegmentationResult(labelmap, seen.geometry, (), a_record(seen))

        return node, node.GetSegmentation().GetNthSegmentID(0), editor, result

    return make


def cube(*corner_and_size: int) -> np.ndarray:
    """A mask (k, j, i) of 1 in a cube: k, j, i of its corner, and its size."""
    k, j, i, size = corner_and_size
    mask = np.zeros(SHAPE, np.uint8)
    mask[k : k + size, j : j + size, i : i + size] = 1
    return mask


def test_a_whole_volume_replaces_the_segment(a_case, oblique):
    node, segment_id, editor, result = a_case(cube(1, 1, 1, 3), oblique)
    labelmap = 2 * cube(4, 4, 5, 3)
    found = on_reference_geometry(result(labelmap), (), node, editor.reference)
    editor.write(segment_id, new_segment_image(found, {2}, node, segment_id))
    np.testing.assert_array_equal(editor.mask(segment_id), labelmap == 2)


def test_outside_of_the_regions_the_segment_stays(a_case):
    drawn, labelmap = cube(1, 1, 1, 6), cube(0, 0, 0, 4)
    node, segment_id, editor, result = a_case(drawn)
    regions = (Region("ijk", (0, 3, 0, 9, 0, 8)), Region("ijk", (6, 10, 0, 9, 5, 8)))
    found = on_reference_geometry(result(labelmap), regions, node, editor.reference)
    editor.write(segment_id, new_segment_image(found, {1}, node, segment_id))
    asked = np.zeros(SHAPE, bool)
    asked[:, :, :3] = asked[5:, :, 6:] = True
    np.testing.assert_array_equal(editor.mask(segment_id), np.where(asked, labelmap, drawn) > 0)


def test_several_values_make_one_segment_and_none_empties_it(a_case):
    labelmap = cube(0, 0, 0, 2) + 3 * cube(4, 4, 4, 2)
    node, segment_id, editor, result = a_case(cube(1, 1, 1, 3))
    found = on_reference_geometry(result(labelmap), (), node, editor.reference)
    editor.write(segment_id, new_segment_image(found, {1, 3}, node, segment_id))
    np.testing.assert_array_equal(editor.mask(segment_id), labelmap > 0)
    editor.write(segment_id, new_segment_image(found, {2}, node, segment_id))
    assert not editor.mask(segment_id).any()


def test_a_segment_that_is_nowhere_gives_no_image(a_case):
    node, _segment_id, editor, result = a_case(cube(1, 1, 1, 3))
    found = on_reference_geometry(result(cube(0, 0, 0, 2)), (), node, editor.reference)
    assert new_segment_image(found, {2}, node) is None
    image = new_segment_image(found, {1}, node)
    assert voxels(image).sum() == 8


def test_masks_and_the_editable_intensities_hold(a_case, slicer):
    drawn, labelmap = cube(1, 1, 1, 4), cube(3, 3, 3, 4)
    node, segment_id, editor, result = a_case(drawn)
    other = node.GetSegmentation().AddEmptySegment("other", "other")
    found = on_reference_geometry(result(labelmap), (), node, editor.reference)
    editor.parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editor.parameters.SetMaskSegmentID(segment_id)
    editor.write(other, new_segment_image(found, {1}, node, other))
    np.testing.assert_array_equal(editor.mask(other), (labelmap & drawn) > 0)
    editor.parameters.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
    editor.parameters.SetSourceVolumeIntensityMask(True)
    editor.parameters.SetSourceVolumeIntensityMaskRange(0, 400)
    before = editor.mask(segment_id)
    editor.write(segment_id, new_segment_image(found, {1}, node, segment_id))
    editable = np.arange(drawn.size).reshape(SHAPE) <= 400
    np.testing.assert_array_equal(editor.mask(segment_id), np.where(editable, labelmap > 0, before))


def test_the_segments_own_grid_counts_not_the_volumes(a_case, a_volume_node, a_record):
    """A result in voxels of 1 mm goes into a segmentation of 2 mm by the nearest voxel."""
    node, segment_id, editor, _result = a_case(cube(0, 0, 0, 1), np.diag([2.0, 2, 2, 1]))
    fine = np.zeros((16, 18, 20), np.uint8)
    fine[4:8, 6:12, 2:4] = 1
    seen = volume_from_node(a_volume_node(fine.astype(np.int16)))
    found = on_reference_geometry(
        SegmentationResult(fine, seen.geometry, (), a_record(seen)), (), node, editor.reference
    )
    editor.write(segment_id, new_segment_image(found, {1}, node, segment_id))
    expected = np.zeros(SHAPE, bool)
    expected[2:4, 3:6, 1:2] = True
    # voxel centres of the coarse grid lie on every second one of the fine grid
    np.testing.assert_array_equal(editor.mask(segment_id), expected)


def test_where_the_volume_does_not_reach_the_segment_stays(a_case, a_volume_node, a_record):
    node, segment_id, editor, _result = a_case(cube(0, 0, 0, 8))
    part = np.zeros((4, 9, 10), np.uint8)
    seen = volume_from_node(a_volume_node(part.astype(np.int16)))
    result = SegmentationResult(part, seen.geometry, (), a_record(seen))
    found = on_reference_geometry(result, (), node, editor.reference)
    editor.write(segment_id, new_segment_image(found, {1}, node, segment_id))
    left = cube(0, 0, 0, 8) > 0
    left[:4] = False
    np.testing.assert_array_equal(editor.mask(segment_id), left)


@pytest.mark.parametrize("kind", ["linear", "grid"])
def test_transforms_of_volume_and_segmentation_are_minded(
    slicer, vtk, a_head_with_a_blob, a_segmentation, a_linear_transform, a_bent_transform, a_result, kind
):
    """The volume lies under a transform, the segmentation under another: the blob is where the volume shows it."""
    quarter_turn = a_linear_transform(np.array([[0, -1, 0, 9], [1, 0, 0, -4], [0, 0, 1, 6], [0, 0, 0, 1]]))
    head = a_head_with_a_blob(np.diag([1.0, 1.0, 1.5, 1]), quarter_turn)
    node = a_segmentation(None, {"empty": np.zeros(SHAPE)})
    nested = a_linear_transform(np.diag([1, 2, 1, 1]), parent=quarter_turn)
    node.SetAndObserveTransformNodeID((a_bent_transform("grid") if kind == "grid" else nested).GetID())
    reference = slicer.vtkOrientedImageData()
    reference.SetExtent(-80, 80, -80, 80, -80, 80)
    reference.SetSpacing(0.5, 0.5, 0.5)
    found = on_reference_geometry(a_result(volume_from_node(head.node)), (), node, reference)
    image = new_segment_image(found, {1}, node)
    matrix, point = vtk.vtkMatrix4x4(), [0.0, 0.0, 0.0]
    image.GetImageToWorldMatrix(matrix)
    index = np.argwhere(voxels(image)[0])[:, ::-1].mean(axis=0) + image.GetExtent()[0::2]
    node.TransformPointToWorld((array_from_matrix(matrix) @ [*index, 1])[:3], point)
    np.testing.assert_allclose(point, head.blob_in_world(), atol=0.6)
