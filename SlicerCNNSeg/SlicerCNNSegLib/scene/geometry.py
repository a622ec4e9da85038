"""Matrices, parent transforms and voxel arrays of VTK and MRML, as numpy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from ..engine.steps import Steps, finished

if TYPE_CHECKING:
    import slicer


def array_from_matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A 4x4 VTK matrix as a float64 array of shape (4, 4)."""
    elements = np.empty(16)
    matrix.DeepCopy(elements, matrix)
    return elements.reshape(4, 4)


def matrix_from_array(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """An array of shape (4, 4) as a VTK matrix."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=np.float64).ravel())
    return matrix


def parent_to_world(node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """4x4 from the node's own RAS mm to the world's, through all its parent transforms.

    The identity for a node without a parent; None when a parent is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return array_from_matrix(matrix)


def local_ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """4x4 from indices of the volume's voxel array (i, j, k, from 0) to the node's own RAS mm.

    VTK images may start at another index than 0; the node's matrix counts from there.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    start = np.eye(4)
    start[:3, 3] = node.GetImageData().GetExtent()[0::2]
    return array_from_matrix(matrix) @ start


def voxels(image: vtk.vtkImageData) -> np.ndarray:
    """The voxels as a view of shape (channels, k, j, i)."""
    i, j, k = image.GetDimensions()
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    return np.moveaxis(scalars.reshape(k, j, i, -1), -1, 0)


def image_from_voxels(array: np.ndarray) -> vtk.vtkImageData:
    """A VTK image with a copy of an array of shape (channels, k, j, i)."""
    return finished(copying_voxels(array))


def copying_voxels(array: np.ndarray) -> Steps[vtk.vtkImageData]:
    """``image_from_voxels``, a plane at each step."""
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[:0:-1])
    yield from _filling(image, array)
    return image


def oriented_labelmap(
    labelmap: np.ndarray, ijk_to_ras: np.ndarray, start_ijk: tuple[int, int, int]
) -> slicer.vtkOrientedImageData:
    """A part of a labelmap as the image that segmentations hold.

    Parameters
    ----------
    labelmap:
        Shape (k, j, i); it is copied.
    ijk_to_ras:
        4x4, from indices of the whole labelmap to RAS mm.
    start_ijk:
        Index of the part's first voxel in the whole labelmap.
    """
    image = finished(copying_labelmap(labelmap, start_ijk))
    image.SetImageToWorldMatrix(matrix_from_array(ijk_to_ras))
    return image


def copying_labelmap(labelmap: np.ndarray, start_ijk: tuple[int, int, int]) -> Steps[slicer.vtkOrientedImageData]:
    """``oriented_labelmap`` without its matrix, a plane at each step."""
    import slicer

    image = slicer.vtkOrientedImageData()
    image.SetExtent(*(n for a, size in zip(start_ijk, labelmap.shape[::-1], strict=True) for n in (a, a + size - 1)))
    yield from _filling(image, labelmap[None])
    return image


def _filling(image: vtk.vtkImageData, array: np.ndarray) -> Steps[None]:
    """Copy an array (channels, k, j, i) into an image of its extent."""
    image.AllocateScalars(get_vtk_array_type(array.dtype), array.shape[0])
    for target, plane in zip(voxels(image).swapaxes(0, 1), array.swapaxes(0, 1), strict=True):
        target[...] = plane
        yield
