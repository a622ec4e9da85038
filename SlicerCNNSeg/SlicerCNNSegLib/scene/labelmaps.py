"""Segmentation nodes to labelmaps: ground truth that was drawn in Slicer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import vtk

from ..engine.errors import InputError
from ..engine.labels import Label
from ..engine.volume import Geometry
from .geometry import array_from_matrix, matrix_from_array, parent_to_world, voxels
from .segmentations import register_segmentations

if TYPE_CHECKING:
    import slicer


def labelmap_from_segmentation(
    node: slicer.vtkMRMLSegmentationNode, geometry: Geometry | None = None
) -> tuple[np.ndarray, Geometry, tuple[Label, ...]]:
    """All segments as one labelmap in world coordinates.

    Parameters
    ----------
    node:
        Where segments overlap, the later one is kept. A segmentation that only has surfaces gets its
        binary labelmap made first, and keeps it.
    geometry:
        The grid wanted, in the world; that of ``volume_from_node`` gives image and labelmap on one
        grid. None takes the segmentation's own reference geometry.

    Returns
    -------
    tuple of ndarray, Geometry, tuple of Label
        Labelmap of shape (k, j, i), uint8 or uint16, the grid it lies on, and a label per segment.
        Label values are those of the segments, or 1, 2, ... in their order where two are alike.

    Raises
    ------
    InputError
        That is no segmentation node, it has no segments, or they cannot be made a labelmap.
    """
    import slicer

    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(
            f"Expected a segmentation node, got {node.GetClassName() if node else None}; select a segmentation."
        )
    labels = _labels(node.GetSegmentation())
    if not labels:
        raise InputError(f"The segmentation {node.GetName()!r} has no segments; draw or import some first.")
    register_segmentations(node.GetScene())
    if not node.CreateBinaryLabelmapRepresentation():
        raise InputError(f"The segments of {node.GetName()!r} cannot be made a labelmap; check that they have content.")
    values = vtk.vtkIntArray()
    for label in labels:
        values.InsertNextValue(label.value)
    to_world = parent_to_world(node)
    wanted = _image_of(geometry, to_world) if geometry is not None and to_world is not None else None
    merged = slicer.vtkOrientedImageData()
    mode = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    if not node.GenerateMergedLabelmapForAllSegments(merged, mode, wanted, None, values):
        raise InputError(f"The segments of {node.GetName()!r} cannot be merged; check that they have content.")
    if to_world is None:
        slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(node, merged)
        to_world = np.eye(4)
        if geometry is not None:
            resampled = slicer.vtkOrientedImageData()
            slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
                merged, _image_of(geometry, to_world), resampled
            )
            merged = resampled
    kind = np.uint8 if max(label.value for label in labels) <= np.iinfo(np.uint8).max else np.uint16
    labelmap = voxels(merged)[0].astype(kind)
    return labelmap, geometry or _geometry_of(merged, to_world), labels


def _labels(segmentation: slicer.vtkSegmentation) -> tuple[Label, ...]:
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    counts = Counter(segment.GetLabelValue() for segment in segments)
    own = all(value > 0 and count == 1 for value, count in counts.items())
    return tuple(
        Label(
            segment.GetLabelValue() if own else number, segment.GetName() or "", tuple(segment.GetColor())
        ).with_terminology(segment.GetTerminology())
        for number, segment in enumerate(segments, 1)
    )


def _image_of(geometry: Geometry, to_world: np.ndarray) -> slicer.vtkOrientedImageData:
    """The grid as an image, in the frame from which ``to_world`` (4x4) leads to the world."""
    import slicer

    i, j, k = geometry.size_ijk
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    image.SetImageToWorldMatrix(matrix_from_array(np.linalg.inv(to_world) @ geometry.ijk_to_ras))
    return image


def _geometry_of(image: slicer.vtkOrientedImageData, to_world: np.ndarray) -> Geometry:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    start = np.eye(4)
    start[:3, 3] = image.GetExtent()[0::2]
    i, j, k = image.GetDimensions()
    return Geometry((k, j, i), to_world @ array_from_matrix(matrix) @ start)
