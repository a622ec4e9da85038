"""Results as what the Segment Editor writes into segments: images on the segmentation's reference geometry.

The Segment Editor applies masks, the editable area and the rules for overlapping segments to such an image. Its
mode *Set* replaces the whole segment by the image, so what lies outside of the region that was asked for is taken over
from the segment as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import vtk
from numpy.typing import ArrayLike

from ..engine.region import Region
from ..engine.result import SegmentationResult, foreground_box
from ..engine.steps import Steps, finished
from .geometry import (
    array_from_matrix,
    copying_labelmap,
    matrix_from_array,
    oriented_labelmap,
    parent_to_world,
    voxels,
)

if TYPE_CHECKING:
    import slicer

NOT_ASKED = 0
"""Code of voxels that the model was not asked about; the others have the label's value plus 1."""


@dataclass(frozen=True, eq=False)
class ReferenceResult:
    """A result on a segmentation's reference geometry.

    Parameters
    ----------
    codes:
        Shape ``(k, j, i)``: ``NOT_ASKED``, or a label's value plus 1 (1 is background); the part of the grid
        where anything was asked.
    start_ijk:
        Index of its first voxel on the reference grid.
    reference:
        The reference geometry, in the segmentation node's own frame.
    """

    codes: np.ndarray
    start_ijk: tuple[int, int, int]
    reference: slicer.vtkOrientedImageData


def on_reference_geometry(
    result: SegmentationResult,
    regions: Sequence[Region],
    node: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkOrientedImageData,
) -> ReferenceResult:
    """Bring a result onto the grid that a segmentation's segments are edited on.

    Parameters
    ----------
    result:
        In world coordinates, as every result is.
    regions:
        To what the run was restricted; none means all of the result's grid.
    node:
        The segmentation; under any parent transforms.
    reference:
        The Segment Editor's reference geometry, in the node's own frame. Where it is not the result's grid, each
        voxel takes the nearest one's label.
    """
    return finished(bringing_on_reference_geometry(result, regions, node, reference))


def bringing_on_reference_geometry(
    result: SegmentationResult,
    regions: Sequence[Region],
    node: slicer.vtkMRMLSegmentationNode,
    reference: slicer.vtkOrientedImageData,
) -> Steps[ReferenceResult]:
    """``on_reference_geometry`` in small pieces, except where voxels have to be resampled."""
    codes, start_ijk = _codes(result, regions)
    yield
    image = yield from copying_labelmap(codes, start_ijk)
    to_world = parent_to_world(node)
    from_world = np.eye(4) if to_world is None else np.linalg.inv(to_world)
    image.SetImageToWorldMatrix(matrix_from_array(from_world @ result.geometry.ijk_to_ras))
    bent = _bent_from_world(node) if to_world is None else None
    return ReferenceResult(*_on_grid(image, reference, bent), reference)


def new_segment_image(
    found: ReferenceResult, values: Collection[int], node: slicer.vtkMRMLSegmentationNode, segment_id: str = ""
) -> slicer.vtkOrientedImageData | None:
    """What a segment shall be: the labels inside of what was asked for, and elsewhere what it was.

    Parameters
    ----------
    found:
        What the model says.
    values:
        Values of the labels that belong to the segment.
    node, segment_id:
        The segment as it is; "" for one that is not there yet.

    Returns
    -------
    vtkOrientedImageData or None
        uint8, 1 in the segment; as large as it must be. None when the segment neither was nor is anywhere.
    """
    mine = np.zeros(found.codes.shape, bool)
    for value in values:  # of the few that there are each takes 3 ms of a large image; np.isin takes 400
        mine |= found.codes == value + 1
    old = _voxels_of(node, segment_id, found.reference) if segment_id else None
    if old is None:
        return _image(mine.astype(np.uint8), found.start_ijk, found.reference) if mine.any() else None
    old_array, old_start = old
    low = np.minimum(found.start_ijk, old_start)
    high = np.maximum(np.add(found.start_ijk, found.codes.shape[::-1]), np.add(old_start, old_array.shape[::-1]))
    whole = np.zeros(tuple(high - low)[::-1], np.uint8)
    whole[_place(old_start, low, old_array.shape)] = old_array
    asked = whole[_place(found.start_ijk, low, found.codes.shape)]
    np.copyto(asked, mine, where=found.codes != NOT_ASKED, casting="unsafe")
    return _image(whole, low, found.reference)


def _codes(result: SegmentationResult, regions: Sequence[Region]) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Codes of the box that holds all regions, (k, j, i), and the index of its first voxel."""
    boxes = [region.index_box(result.geometry) for region in regions] or [((0, 0, 0), result.geometry.size_ijk)]
    low = np.min([start for start, _ in boxes], axis=0)
    shape = (np.max([stop for _, stop in boxes], axis=0) - low)[::-1]
    codes = np.zeros(shape, np.promote_types(result.labelmap.dtype, np.min_scalar_type(result.labelmap.max() + 1)))
    for start, stop in boxes:
        size_kji = tuple(b - a for a, b in zip(start, stop, strict=True))[::-1]
        part = codes[_place(start, low, size_kji)]
        part[:] = result.labelmap[_place(start, (0, 0, 0), size_kji)]
        part += 1
    return codes, _triple(low)


def _voxels_of(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, reference: slicer.vtkOrientedImageData
) -> tuple[np.ndarray, tuple[int, int, int]] | None:
    """A segment as an array (k, j, i) of 0 and 1 on the reference grid, and where it starts; None when empty."""
    import slicer

    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, image)
    if image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        return None
    array, start_ijk = _on_grid(image, reference, None)
    box = foreground_box(array)
    if box is None:
        return None
    return (array[box] != 0).astype(np.uint8), _triple(np.add(start_ijk, [part.start for part in box[::-1]]))


def _on_grid(
    image: slicer.vtkOrientedImageData,
    reference: slicer.vtkOrientedImageData,
    transform: vtk.vtkAbstractTransform | None,
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The image's voxels (k, j, i) inside of the reference, and the index of the first.

    Themselves where they lie on its grid, else its voxels with the value of the nearest one.
    """
    import slicer

    resample = slicer.vtkOrientedImageDataResample
    if transform is not None or not resample.DoGeometriesMatch(image, reference):
        resampled = slicer.vtkOrientedImageData()
        resample.ResampleOrientedImageToReferenceOrientedImage(image, reference, resampled, False, False, transform)
        image = resampled
    array, own, whole = voxels(image)[0], image.GetExtent(), reference.GetExtent()
    start, stop = np.maximum(own[0::2], whole[0::2]), np.minimum(own[1::2], whole[1::2]) + 1
    if (start >= stop).any():
        return np.zeros((1, 1, 1), array.dtype), _triple(whole[0::2])
    return array[_place(start, own[0::2], tuple(stop - start)[::-1])], _triple(start)


def _image(
    array: np.ndarray, start_ijk: ArrayLike, reference: slicer.vtkOrientedImageData
) -> slicer.vtkOrientedImageData:
    matrix = vtk.vtkMatrix4x4()
    reference.GetImageToWorldMatrix(matrix)
    return oriented_labelmap(array, array_from_matrix(matrix), _triple(start_ijk))


def _place(start_ijk: ArrayLike, low_ijk: ArrayLike, shape_kji: Sequence[int]) -> tuple[slice, ...]:
    """Where an array that starts there lies in one that starts at ``low_ijk``."""
    corner = np.subtract(start_ijk, low_ijk)[::-1]
    return tuple(slice(int(a), int(a) + int(size)) for a, size in zip(corner, shape_kji, strict=True))


def _triple(ijk: ArrayLike) -> tuple[int, int, int]:
    i, j, k = np.asarray(ijk).tolist()
    return i, j, k


def _bent_from_world(node: slicer.vtkMRMLSegmentationNode) -> vtk.vtkGeneralTransform:
    """From the world into the frame of a node under a non-linear transform."""
    import slicer

    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), transform)
    return transform
