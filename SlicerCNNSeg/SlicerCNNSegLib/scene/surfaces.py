"""Segments in 3-D views, which draw surfaces: made of the voxels on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .segmentations import register_segmentations

if TYPE_CHECKING:
    import slicer

QUICK_VOXELS = 300_000
"""Voxels looked at, of all segments together, up to which surfaces are made within 50 ms: nobody waits for them."""


def show_in_3d(node: slicer.vtkMRMLSegmentationNode, shown: bool) -> None:
    """Make the segments' surfaces, which takes seconds where there are many voxels, or take them away."""
    register_segmentations(node.GetScene())
    if shown:
        node.CreateClosedSurfaceRepresentation()
    else:
        node.RemoveClosedSurfaceRepresentation()


def is_in_3d(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the segments have surfaces."""
    import slicer

    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    return bool(node.GetSegmentation().ContainsRepresentation(surface))


def is_quick_in_3d(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether making the surfaces takes no time that anybody would notice."""
    import slicer

    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segments = node.GetSegmentation()
    images = [segments.GetNthSegment(n).GetRepresentation(kind) for n in range(segments.GetNumberOfSegments())]
    return sum(image.GetNumberOfPoints() for image in images if image is not None) <= QUICK_VOXELS
