"""Pictures of the scene hold what is in it, at its place and in its colour, and not what is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from desktop.task_tabs import add_roi, add_segments

SIZE_PX = (300, 240)
FIRST_IJK = (4, 6, 3)
"""The segment is the box of 4 x 3 x 2 voxels from there on, in a volume of 22 x 20 x 18 voxels of 1 x 1 x 1.5 mm."""


@pytest.fixture
def a_view(a_volume):
    from desktop.host.scene_views import SceneViews

    volume = a_volume()
    views = SceneViews(volume)
    yield views, volume
    views.close()


def pixels(picture):
    """Red, green and blue, shape (rows, columns, 3), from 0 to 255."""
    image = picture.toImage().convertToFormat(picture.toImage().Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def place_px(views, name, ras):
    """Row and column of a point of the patient in a slice view's picture."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(views._logics[name].GetSliceNode().GetXYToRAS(), matrix)
    x, y, _, _ = matrix.MultiplyPoint((*ras, 1))
    return SIZE_PX[1] - 1 - round(y), round(x)


def colourful(image):
    """Where a picture is neither grey nor black."""
    return image.max(axis=-1) - image.min(axis=-1) > 40


def test_a_segments_colour_is_at_the_segments_place(a_view):
    views, volume = a_view
    segmentation = add_segments(volume, {"Box": FIRST_IJK})
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetSegmentation().GetNthSegment(0).SetColor(1.0, 0.0, 0.0)
    middle = np.array([4 + 1.5, 6 + 1.0, (3 + 0.5) * 1.5])
    for name in ("Red", "Green", "Yellow"):
        views._logics[name].GetSliceNode().JumpSliceByCentering(*middle)
        image = pixels(views.slice_picture(name, *SIZE_PX))
        row, column = place_px(views, name, middle)
        red, green, blue = image[row, column]
        assert red > max(green, blue) + 40, name
        rows, columns = np.nonzero(colourful(image))
        assert abs(rows.mean() - row) < 2, name
        assert abs(columns.mean() - column) < 2, name
    segmentation.GetDisplayNode().SetVisibility(False)
    assert not colourful(pixels(views.slice_picture("Red", *SIZE_PX))).any()


def test_a_heat_map_lies_over_the_image_in_its_colours(a_view):
    import slicer

    from SlicerCNNSegLib.engine.volume import Volume
    from SlicerCNNSegLib.scene.classifications import HEAT_COLORS
    from SlicerCNNSegLib.scene.volumes import node_from_volume, volume_from_node

    views, volume = a_view
    assert not colourful(pixels(views.slice_picture("Red", *SIZE_PX))).any()
    heat = np.zeros(volume_from_node(volume).geometry.shape_kji, np.float32)
    heat[:, 5:9, 5:9] = 0.6
    node = node_from_volume(slicer.mrmlScene, Volume(heat[None], volume_from_node(volume).ijk_to_ras), "heat")
    node.GetDisplayNode().SetAndObserveColorNodeID(HEAT_COLORS)
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1)
    logic = views._logics["Red"]
    composite = logic.GetSliceCompositeNode(logic.GetSliceNode())
    composite.SetForegroundVolumeID(node.GetID())
    composite.SetForegroundOpacity(1.0)
    image = pixels(views.slice_picture("Red", *SIZE_PX))
    row, column = place_px(views, "Red", (6.5, 6.5, 0))
    np.testing.assert_allclose(image[row, column], (221, 81, 58), atol=6)  # inferno at 0.6


def test_surfaces_and_boxes_are_in_the_3d_view(a_view):
    views, volume = a_view
    background = pixels(views.three_d_picture(*SIZE_PX))
    segmentation = add_segments(volume, {"Box": FIRST_IJK})
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetSegmentation().GetNthSegment(0).SetColor(0.0, 1.0, 0.0)
    segmentation.CreateClosedSurfaceRepresentation()
    image = pixels(views.three_d_picture(*SIZE_PX))
    assert (image[..., 1] > image[..., 2] + 60).sum() > 500, "green"
    segmentation.GetDisplayNode().SetVisibility(False)
    assert np.array_equal(pixels(views.three_d_picture(*SIZE_PX)), background)
    roi = add_roi()
    roi.CreateDefaultDisplayNodes()
    assert not np.array_equal(pixels(views.three_d_picture(*SIZE_PX)), background)


def test_all_four_views_are_in_one_picture_and_none_stays_in_the_scene(desktop, a_volume):
    import slicer
    from desktop.host.scene_views import SceneViews

    volume = a_volume()
    before = {node.GetID() for node in slicer.mrmlScene.GetNodesByClass("vtkMRMLAbstractViewNode")}
    views = SceneViews(volume)
    image = pixels(views.picture(402, 302))
    views.close()
    assert image.shape == (302, 402, 3)
    bars = [tuple(image[0, 10]), tuple(image[0, 300]), tuple(image[152, 10]), tuple(image[152, 300])]
    assert bars == [(243, 74, 51), (90, 80, 168), (110, 176, 75), (237, 213, 76)]
    assert len(np.unique(image[10:140, 50:150])) > 50, "noise"
    assert {node.GetID() for node in slicer.mrmlScene.GetNodesByClass("vtkMRMLAbstractViewNode")} == before
