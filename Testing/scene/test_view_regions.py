"""What the slice views show, as a box in world RAS mm."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import RegionError
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.scene.view_regions import region_in_views

pytestmark = pytest.mark.slicer

HEAD = Geometry((100, 100, 100), np.diag([2.0, 2, 2, 1]))
"""From -1 to 199 mm along each axis."""


@pytest.fixture
def a_view(a_scene, slicer, vtk):
    """A slice view in the layout, around a point, its field of view as wide and high as said."""

    def make(orientation: str, centre_mm, width_mm: float, height_mm: float, *, shown: bool = True, tilt: float = 0):
        node, axes, tilted = a_scene.AddNewNodeByClass("vtkMRMLSliceNode"), vtk.vtkMatrix3x3(), vtk.vtkTransform()
        getattr(slicer.vtkMRMLSliceNode, f"Get{orientation}SliceToRASMatrix")(axes)
        tilted.Translate(*centre_mm)
        tilted.RotateX(tilt)
        tilted.Concatenate([axes.GetElement(*at) if max(at) < 3 else at[0] == at[1] for at in np.ndindex(4, 4)])
        node.GetSliceToRAS().DeepCopy(tilted.GetMatrix())
        node.UpdateMatrices()
        node.SetFieldOfView(width_mm, height_mm, 1)
        node.SetMappedInLayout(shown)

    return make


def test_without_views_it_is_the_whole_image(a_scene):
    assert region_in_views(a_scene, HEAD).bounds == pytest.approx((-1, 199, -1, 199, -1, 199))


def test_an_axial_view_bounds_its_plane_only(a_view, a_scene):
    a_view("Axial", (50, 60, 70), 40, 20)
    assert region_in_views(a_scene, HEAD).bounds == pytest.approx((30, 70, 50, 70, -1, 199))


def test_several_views_bound_together_and_the_image_cuts(a_view, a_scene):
    a_view("Axial", (50, 60, 70), 400, 20)
    a_view("Sagittal", (50, 55, 70), 30, 60)
    assert region_in_views(a_scene, HEAD).bounds == pytest.approx((-1, 199, 50, 70, 40, 100))


def test_views_that_are_not_shown_and_oblique_ones_bound_nothing(a_view, a_scene):
    a_view("Axial", (50, 60, 70), 40, 20, shown=False)
    a_view("Axial", (50, 60, 70), 40, 20, tilt=30)
    assert region_in_views(a_scene, HEAD).bounds == pytest.approx((-1, 199, -1, 199, -1, 199))


def test_views_beside_the_image_are_refused(a_view, a_scene):
    a_view("Axial", (500, 60, 70), 40, 20)
    with pytest.raises(RegionError, match="slice views show nothing of the source volume"):
        region_in_views(a_scene, HEAD)
