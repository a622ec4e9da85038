"""ROI nodes to regions in world RAS mm."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import InputError, RegionError
from SlicerCNNSegLib.scene.regions import region_around, region_from_roi

pytestmark = pytest.mark.slicer


@pytest.fixture
def an_roi_node(a_scene):
    """An ROI of 10 x 20 x 30 mm around (5, 0, 0)."""
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Left")
    node.SetCenter(5, 0, 0)
    node.SetSize(10, 20, 30)
    return node


def test_a_straight_roi_is_its_box(an_roi_node):
    region = region_from_roi(an_roi_node, "left")
    assert (region.kind, region.name) == ("ras", "left")
    assert region.bounds == pytest.approx((0, 10, -10, 10, -15, 15))


def test_a_roi_moves_with_its_transforms(an_roi_node, a_linear_transform):
    outer = a_linear_transform(np.array([[1, 0, 0, 100], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    quarter_turn = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    an_roi_node.SetAndObserveTransformNodeID(a_linear_transform(quarter_turn, parent=outer).GetID())
    assert region_from_roi(an_roi_node).bounds == pytest.approx((90, 110, 0, 10, -30, 30))


def test_a_rotated_roi_gives_the_box_around_it(vtk, an_roi_node):
    turn = vtk.vtkTransform()
    turn.Translate(5, 0, 0)
    turn.RotateZ(30)
    an_roi_node.SetAndObserveObjectToNodeMatrix(turn.GetMatrix())
    half_x = 5 * np.cos(np.pi / 6) + 10 * np.sin(np.pi / 6)
    half_y = 5 * np.sin(np.pi / 6) + 10 * np.cos(np.pi / 6)
    assert region_from_roi(an_roi_node).bounds == pytest.approx((5 - half_x, 5 + half_x, -half_y, half_y, -15, 15))


@pytest.mark.parametrize("kind", ["grid", "bspline", "thinplate"])
def test_a_bent_roi_is_where_its_middle_goes(kind, an_roi_node, a_bent_transform):
    an_roi_node.SetAndObserveTransformNodeID(a_bent_transform(kind).GetID())
    middle = [0.0] * 3
    an_roi_node.TransformPointToWorld([5.0, 0.0, 0.0], middle)
    bounds = np.array(region_from_roi(an_roi_node).bounds)
    np.testing.assert_allclose((bounds[0::2] + bounds[1::2]) / 2, middle, atol=1e-3)
    assert np.linalg.norm(np.array(middle) - [5, 0, 0]) > 5
    np.testing.assert_allclose(bounds[1::2] - bounds[0::2], [10, 20, 30], rtol=0.2)


def test_around_segments_is_the_box_of_all_with_a_margin(slicer, vtk, a_scene, an_roi_node):
    """Of 2 mm voxels under a turned, moved parent: the box in the world, along R, A and S."""
    from SlicerCNNSegLib.scene.geometry import oriented_labelmap
    from SlicerCNNSegLib.scene.segmentations import register_segmentations

    register_segmentations(a_scene)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    with pytest.raises(InputError, match="has no segments"):
        region_around(node)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    node.GetSegmentation().SetSourceRepresentationName(kind)
    for name, first_ijk in (("Upper", (0, 0, 0)), ("Lower", (10, 0, 5))):
        segment = slicer.vtkSegment()
        segment.SetName(name)
        image = oriented_labelmap(np.ones((2, 3, 4), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]), first_ijk)
        segment.AddRepresentation(kind, image)
        node.GetSegmentation().AddSegment(segment)
    region = region_around(node, 3.0)
    assert (region.kind, region.name) == ("ras", "")
    assert region.bounds == pytest.approx((-3, 29, -3, 7, -3, 15)), "from voxel centres, on each side 3 mm"
    assert region_around(an_roi_node, 3.0) == region_from_roi(an_roi_node)
    with pytest.raises(InputError, match="Expected a markups ROI node, got None"):
        region_around(None)


def test_an_roi_around_points(slicer, vtk, a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    node.SetROIType(slicer.vtkMRMLMarkupsROINode.ROITypeBoundingBox)
    for point in ((1, 2, 3), (4, 6, 8), (2, 9, 5)):
        node.AddControlPoint(vtk.vtkVector3d(*point))
    assert region_from_roi(node).bounds == pytest.approx((1, 4, 2, 9, 3, 8))


def test_an_roi_that_was_never_placed_is_refused(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    with pytest.raises(RegionError, match=r"The ROI 'R' is empty \(size 0 x 0 x 0 mm\); place it on the image"):
        region_from_roi(node)


def test_a_flat_roi_is_refused(an_roi_node):
    an_roi_node.SetSize(10, 0, 30)
    with pytest.raises(RegionError, match=r"The ROI 'Left' is empty \(size 10 x 0 x 30 mm\)"):
        region_from_roi(an_roi_node)


def test_what_is_no_roi_is_refused(a_scene):
    with pytest.raises(InputError, match="Expected a markups ROI node, got None"):
        region_from_roi(None)
    with pytest.raises(InputError, match="Expected a markups ROI node, got vtkMRMLTableNode"):
        region_from_roi(a_scene.AddNewNodeByClass("vtkMRMLTableNode"))
