"""Segmentation nodes to labelmaps in the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.labels import ANATOMICAL_STRUCTURE, Code, Label
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.scene.labelmaps import labelmap_from_segmentation
from SlicerCNNSegLib.scene.segmentations import register_segmentations, show_segmentation
from SlicerCNNSegLib.scene.volumes import volume_from_node

pytestmark = pytest.mark.slicer

TISSUE = Code("SCT", "85756007", "Tissue")  # what Slicer calls a segment that nobody coded
ROTATION = np.array([[0.8, -0.6, 0, 12.0], [0.6, 0.8, 0, -7.0], [0, 0, 1, 30.0], [0, 0, 0, 1]])


@pytest.mark.parametrize("wanted", ["own grid", "given grid"])
@pytest.mark.parametrize("moved", [False, True], ids=["in the world", "under nested transforms"])
def test_there_and_back(wanted, moved, a_scene, a_head_with_a_blob, a_linear_transform, a_result, oblique):
    parent = a_linear_transform(ROTATION, parent=a_linear_transform(np.diag([1.0, -2, 1, 1]))) if moved else None
    volume = volume_from_node((head := a_head_with_a_blob(oblique, parent)).node)
    result = a_result(volume)
    result.labelmap[0, 0, 0] = 2
    result = replace(result)  # counts the voxels anew
    node = show_segmentation(a_scene, result, head.node)
    labelmap, geometry, labels = labelmap_from_segmentation(node, volume.geometry if wanted == "given grid" else None)
    np.testing.assert_array_equal(labelmap, result.labelmap)
    assert labelmap.dtype == np.uint8
    assert geometry.matches(volume.geometry)
    assert [label.value for label in labels] == [1, 2]
    for label, expected in zip(labels, result.labels[:2], strict=True):
        assert (label.name, label.terminology) == (expected.name, expected.terminology)
        assert label.color == pytest.approx(expected.color)


@pytest.mark.parametrize("kind", ["grid", "bspline", "thinplate"])
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "under a mirror and a rotation"])
def test_a_bent_segmentation_lies_on_the_grid_of_the_bent_image(
    kind, nested, a_scene, a_head_with_a_blob, a_bent_transform, a_linear_transform, a_result
):
    head = a_head_with_a_blob(np.diag([-1.5, 1.5, 1.5, 1.0]))
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    above = a_linear_transform(ROTATION, parent=a_linear_transform(np.diag([-1.0, 1, 1, 1]))) if nested else None
    bent = a_bent_transform(kind, parent=above)
    for moved in (head.node, node):
        moved.SetAndObserveTransformNodeID(bent.GetID())
    image = volume_from_node(head.node)
    labelmap, geometry, _ = labelmap_from_segmentation(node, image.geometry)
    bright = image.array[0] > -450
    assert 2 * np.count_nonzero(bright & (labelmap == 1)) / (bright.sum() + (labelmap == 1).sum()) > 0.8
    assert geometry.matches(image.geometry)
    own, own_grid, _ = labelmap_from_segmentation(node)
    centre = own_grid.ras_from_ijk(np.argwhere(own == 1)[:, ::-1].mean(axis=0))
    assert np.abs(own_grid.ijk_from_ras(centre) - own_grid.ijk_from_ras(head.blob_in_world())).max() < 0.5


def test_a_coarser_grid_in_another_place(a_scene, a_head_with_a_blob, a_result):
    head = a_head_with_a_blob(np.eye(4))
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    grid = np.diag([2.0, 2.0, 2.0, 1.0])
    grid[:3, 3] = head.blob_ras_mm - 11
    labelmap, _, _ = labelmap_from_segmentation(node, Geometry((12, 12, 12), grid))
    np.testing.assert_allclose(np.argwhere(labelmap).mean(axis=0), [5.5, 5.5, 5.5])
    assert labelmap.sum() == 8  # 64 mm3 of 8 mm3 voxels


def test_equal_label_values_are_numbered_anew_and_the_later_segment_wins(
    slicer, vtk, a_scene, a_head_with_a_blob, a_result
):
    head = a_head_with_a_blob(np.eye(4))
    node = show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node)
    other = slicer.vtkSegment()
    other.DeepCopy(node.GetSegmentation().GetSegment("Segment_1"))
    other.SetName("Copy")
    node.GetSegmentation().AddSegment(other, "Copy")
    labelmap, _, labels = labelmap_from_segmentation(node)
    assert [(label.value, label.name) for label in labels] == [(1, "Anterior hippocampus"), (2, "Copy")]
    assert set(np.unique(labelmap)) == {0, 2}


def test_surfaces_are_filled(vtk, a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetSourceRepresentationToClosedSurface()
    ball = vtk.vtkSphereSource()
    ball.SetRadius(10)
    ball.SetCenter(5, -3, 2)
    ball.SetThetaResolution(60)
    ball.SetPhiResolution(60)
    ball.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "Ball", [1, 0, 0])
    grid = np.eye(4)
    grid[:3, 3] = [-15, -23, -18]
    labelmap, _, (label,) = labelmap_from_segmentation(node, Geometry((40, 40, 40), grid))
    np.testing.assert_allclose(np.argwhere(labelmap).mean(axis=0), [20, 20, 20], atol=0.5)
    assert labelmap.sum() == pytest.approx(4 / 3 * np.pi * 1000, rel=0.1)
    assert (label.name, label.category) == ("Ball", TISSUE)


def test_what_gives_no_labelmap_is_refused(a_scene):
    with pytest.raises(InputError, match="Expected a segmentation node, got None"):
        labelmap_from_segmentation(None)
    with pytest.raises(InputError, match="The segmentation 'Empty' has no segments"):
        labelmap_from_segmentation(a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty"))


def test_segments_without_content_are_refused(vtk, a_scene):
    register_segmentations(a_scene)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    node.GetSegmentation().AddEmptySegment("a", "a")
    with pytest.raises(InputError, match="The segments of 'Drawn' are empty and on no grid"):
        labelmap_from_segmentation(node)
    labelmap, _, _ = labelmap_from_segmentation(node, Geometry((3, 4, 5), np.eye(4)))
    assert labelmap.shape == (3, 4, 5)
    assert not labelmap.any()
    surface = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surface")
    surface.SetSourceRepresentationToClosedSurface()
    surface.AddSegmentFromClosedSurfaceRepresentation(vtk.vtkPolyData(), "Nothing", [1, 0, 0])
    with pytest.raises(InputError, match="The segments of 'Surface' are empty and on no grid"):
        labelmap_from_segmentation(surface)


@pytest.mark.parametrize("text", ["", "no codes here", "a~b~c~d~e~f~g"])
def test_a_text_that_is_no_terminology_codes_nothing(text):
    label = Label(1, "Thing", (1.0, 0.0, 0.0), type=ANATOMICAL_STRUCTURE)
    assert label.with_terminology(text).type is None
    assert label.with_terminology(text).terminology == ""


def test_chosen_segments_alone_in_the_order_asked_for(a_scene, a_head_with_a_blob, a_result):
    volume = volume_from_node((head := a_head_with_a_blob(np.eye(4))).node)
    result = a_result(volume)
    result.labelmap[0, 0, :3] = 1, 2, 3
    node = show_segmentation(a_scene, replace(result), head.node)
    labelmap, _, labels = labelmap_from_segmentation(node, volume.geometry, segment_ids=["Segment_3", "Segment_2"])
    assert [(label.value, label.name) for label in labels] == [(3, "Something else"), (2, "Left posterior hippocampus")]
    np.testing.assert_array_equal(labelmap, np.where(result.labelmap == 1, 0, result.labelmap))
