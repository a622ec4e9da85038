"""Segmentation nodes to labelmaps: ground truth that was drawn in Slicer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    node: slicer.vtkMRMLSegmentationNode, geometry: Geometry | None = None, *, segment_ids: Sequence[str] = ()
) -> tuple[np.ndarray, Geometry, tuple[Label, ...]]:
    """Segments as one labelmap in world coordinates.

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
        That is no segmentation node, it has no segments, or they are empty and nothing gives a grid.
    """
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(
            f"Expected a segmentation node, got {node.GetClassName() if node else None}; select a segmentation."
        )
    labels = segment_labels(node.GetSegmentation(), segment_ids)
    if not labels:
        raise InputError(f"The segmentation {node.GetName()!r} has no segments; draw or import some first.")
    register_segmentations(node.GetScene())
    node.CreateBinaryLabelmapRepresentation()
    to_world = parent_to_world(node)
    grid = None if geometry is None or to_world is None else _image_of(geometry, to_world)
    merged = _merged(node, labels, segment_ids, grid)
    if to_world is None:
        to_world = np.eye(4)
        merged = _bent_to_world(node, merged, None if geometry is None else _image_of(geometry, to_world))
    kind = np.uint8 if max(label.value for label in labels) <= np.iinfo(np.uint8).max else np.uint16
    labelmap = voxels(merged)[0].astype(kind)
    return labelmap, geometry or _geometry_of(merged, to_world), labels


def _merged(
    node: slicer.vtkMRMLSegmentationNode,
    labels: tuple[Label, ...],
    segment_ids: Sequence[str],
    grid: slicer.vtkOrientedImageData | None,
) -> slicer.vtkOrientedImageData:
    """The segments as one image in the node's frame, on ``grid`` or on the reference geometry."""
    import slicer

    values, ids = vtk.vtkIntArray(), vtk.vtkStringArray()
    for label in labels:
        values.InsertNextValue(label.value)
    for segment_id in segment_ids:
        ids.InsertNextValue(segment_id)
    merged = slicer.vtkOrientedImageData()
    mode = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    node.GenerateMergedLabelmapForAllSegments(merged, mode, grid, ids, values)  # no ids: all segments
    if merged.GetPointData().GetScalars() is None:  # it reports success where nothing gives a grid
        raise InputError(
            f"The segments of {node.GetName()!r} are empty and on no grid; draw them, or choose their source volume."
        )
    return merged


def _bent_to_world(
    node: slicer.vtkMRMLSegmentationNode,
    merged: slicer.vtkOrientedImageData,
    grid: slicer.vtkOrientedImageData | None,
) -> slicer.vtkOrientedImageData:
    """The image as the node's non-linear parents show it, resampled to ``grid`` where one is wanted."""
    import slicer

    slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(node, merged)
    if grid is None:
        return merged
    resampled = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(merged, grid, resampled)
    return resampled


def segment_labels(segmentation: slicer.vtkSegmentation, segment_ids: Sequence[str] = ()) -> tuple[Label, ...]:
    """Names, colours and codes of the segments, of all when no ids are given.

    Values are those of the segments, or 1, 2, ... in their order where two are alike.
    """
    segments = [segmentation.GetSegment(segment_id) for segment_id in segment_ids or segmentation.GetSegmentIDs()]
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
