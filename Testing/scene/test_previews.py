"""Previews: seen, never edited, never saved, never left behind."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.scene.geometry import oriented_labelmap
from SlicerCNNSegLib.scene.previews import remove_previews, show_preview

pytestmark = pytest.mark.slicer

BLOB = Label(1, "Blob", (0.2, 0.4, 0.6))


@pytest.fixture
def a_drawing(a_volume_node, a_segmentation, a_linear_transform):
    volume = a_volume_node(np.zeros((4, 5, 6), np.int16))
    volume.SetAndObserveTransformNodeID(a_linear_transform(np.diag([2, 1, 1, 1])).GetID())
    return a_segmentation(volume, {"drawn": np.ones((4, 5, 6))})


def an_image(voxels: int):
    return oriented_labelmap(np.ones((1, 1, voxels), np.uint8), np.eye(4), (0, 0, 0))


def segmentations(scene):
    kind = "vtkMRMLSegmentationNode"
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def test_a_preview_lies_over_its_segmentation_and_is_nobodys_to_edit(a_drawing):
    preview = show_preview(a_drawing, [(BLOB, an_image(2))])
    segment = preview.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Blob"
    assert segment.GetColor() == pytest.approx(BLOB.color)
    assert preview.GetTransformNodeID() == a_drawing.GetTransformNodeID()
    assert preview.GetHideFromEditors()
    assert not preview.GetSaveWithScene()
    assert not preview.GetDisplayNode().GetSaveWithScene()
    assert a_drawing.GetSegmentation().GetNumberOfSegments() == 1


def test_there_is_one_preview_and_then_none(a_drawing):
    scene = a_drawing.GetScene()
    show_preview(a_drawing, [(BLOB, an_image(2))])
    preview = show_preview(a_drawing, [(BLOB, an_image(3))])
    assert segmentations(scene) == [a_drawing, preview]
    nodes = scene.GetNumberOfNodes()
    remove_previews(scene)
    assert segmentations(scene) == [a_drawing]
    assert scene.GetNumberOfNodes() < nodes - 1, "its display node goes too"


def test_a_preview_does_not_hold_on_to_the_scene(a_drawing, a_new_scene):
    """Removed from the scene it is gone: nothing else refers to it."""
    import weakref

    preview = weakref.ref(show_preview(a_drawing, [(BLOB, an_image(2))]))
    remove_previews(a_drawing.GetScene())
    assert preview() is None
