"""Segments in 3-D views: their surfaces lie where the voxels do, and large ones are not made unasked."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.scene import surfaces
from SlicerCNNSegLib.scene.segmentations import show_segmentation
from SlicerCNNSegLib.scene.surfaces import is_in_3d, is_quick_in_3d, show_in_3d
from SlicerCNNSegLib.scene.volumes import volume_from_node

pytestmark = pytest.mark.slicer


@pytest.fixture
def a_blob(a_scene, a_head_with_a_blob, a_result, oblique):
    head = a_head_with_a_blob(oblique, None)
    return show_segmentation(a_scene, a_result(volume_from_node(head.node)), head.node), head


def test_a_surface_lies_around_the_voxels(a_blob):
    import slicer

    node, head = a_blob
    assert not is_in_3d(node)
    show_in_3d(node, True)
    assert is_in_3d(node)
    kind = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    surface = node.GetSegmentation().GetNthSegment(0).GetRepresentation(kind)
    low_and_high = np.array(surface.GetBounds()).reshape(3, 2)
    np.testing.assert_allclose(low_and_high.mean(axis=1), head.blob_in_world(), atol=0.5)
    show_in_3d(node, False)
    assert not is_in_3d(node)
    assert node.GetSegmentation().GetNumberOfSegments() == 1


def test_how_long_it_takes_is_judged_by_all_voxels_looked_at(a_blob, monkeypatch):
    node, _head = a_blob
    kind = node.GetSegmentation().GetSourceRepresentationName()
    points = node.GetSegmentation().GetNthSegment(0).GetRepresentation(kind).GetNumberOfPoints()
    assert points > 1
    for most, quick in ((points, True), (points - 1, False)):
        monkeypatch.setattr(surfaces, "QUICK_VOXELS", most)
        assert is_quick_in_3d(node) is quick
