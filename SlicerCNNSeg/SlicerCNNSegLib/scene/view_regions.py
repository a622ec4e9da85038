"""The part of the body that the slice views show, as a ``Region``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk

from ..engine.errors import RegionError
from ..engine.region import Region
from ..engine.volume import Geometry
from .geometry import array_from_matrix

if TYPE_CHECKING:
    import slicer

ALONG_AXIS = 0.999
"""Cosine from which on a slice's normal counts as lying along a patient axis (2.6 degrees)."""


def region_in_views(scene: slicer.vtkMRMLScene, geometry: Geometry) -> Region:
    """The box that the slice views of the layout show, cut to an image, in world RAS mm.

    An axial view bounds it to the left, right, front and back by what is seen of its plane, a sagittal one front,
    back, above and below, and so on: zooming one view in makes the box smaller. Views of oblique planes bound nothing.

    Parameters
    ----------
    scene:
        Its slice nodes are looked at, those that the layout shows.
    geometry:
        The image's grid, in the world.

    Raises
    ------
    RegionError
        The views show nothing of the image.
    """
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in geometry.size_ijk])).reshape(3, -1).T
    image = geometry.ras_from_ijk(corners)
    low, high = image.min(axis=0), image.max(axis=0)
    for node in _shown_views(scene):
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(node.GetSliceToRAS())
        slice_to_ras = array_from_matrix(matrix)
        if np.abs(slice_to_ras[:3, 2]).max() < ALONG_AXIS:
            continue
        width_mm, height_mm = node.GetFieldOfView()[:2]
        reach = np.abs(slice_to_ras[:3, 0]) * width_mm / 2 + np.abs(slice_to_ras[:3, 1]) * height_mm / 2
        in_plane = np.arange(3) != np.abs(slice_to_ras[:3, 2]).argmax()
        centre = slice_to_ras[:3, 3]
        low = np.where(in_plane, np.maximum(low, centre - reach), low)
        high = np.where(in_plane, np.minimum(high, centre + reach), high)
    if (low >= high).any():
        raise RegionError("The slice views show nothing of the source volume; centre them on it, or choose a region.")
    r0, a0, s0, r1, a1, s1 = (float(mm) for mm in (*low, *high))
    return Region("ras", (r0, r1, a0, a1, s0, s1))


def _shown_views(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSliceNode]:
    kind = "vtkMRMLSliceNode"
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if node.IsMappedInLayout()]
