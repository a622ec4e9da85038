"""MRML volume nodes to ``Volume`` and back.

**Frames.** A ``Volume`` always lies in the world: what the network sees and what is measured in mm is
the image as Slicer shows it, with every parent transform applied. A volume therefore gives the same
answer before and after its transform is hardened.

- Under no or *linear* parent transforms (rotation, scaling, shear, mirroring, nested ones) no voxel is
  touched: the transforms are composed into ``ijk_to_ras``.
- Under a *non-linear* one (grid, B-spline, thin plate) the voxels are resampled to a regular grid in
  the world, with the volume's own axes and spacing, and ``Volume.notes`` says so.

``identifiers["grid"]`` tells the two apart: ``node`` (the node's own voxel grid) or ``world``.
``scene.segmentations`` uses it to put a result where it belongs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk

from ..engine.classification.result import ClassificationResult
from ..engine.detection.result import DetectionResult
from ..engine.errors import ChannelError, GeometryError, InputError
from ..engine.result import SegmentationResult
from ..engine.volume import Geometry, Volume
from .geometry import (
    array_from_matrix,
    image_from_voxels,
    local_ijk_to_ras,
    matrix_from_array,
    parent_to_world,
    voxels,
)
from .hierarchy import MODALITY, identifiers_of, modality_of

if TYPE_CHECKING:
    import slicer

NODE_GRID = "node"
WORLD_GRID = "world"


def volume_from_node(node: slicer.vtkMRMLVolumeNode, *, channel_name: str = "") -> Volume:
    """The image of a scalar, vector or labelmap volume node, in world coordinates.

    Parameters
    ----------
    node:
        A vector volume's components (RGB) become channels.
    channel_name:
        Name of the one channel of a scalar volume.

    Returns
    -------
    Volume
        Its array, (channels, k, j, i), is a **view** of the node's voxels: whoever writes into it
        writes into the scene, and who edits the node meanwhile changes the array. Under a non-linear
        transform it is a resampled copy (linear interpolation, nearest neighbour for labelmaps).

    Raises
    ------
    InputError
        That is no volume node, or it has no voxels.
    ChannelError
        A name was given for a volume with several components.
    GeometryError
        The node's matrix or a parent transform flattens the volume.
    """
    check_volume_node(node)
    image = node.GetImageData()
    components = image.GetNumberOfScalarComponents()
    if channel_name and components > 1:
        raise ChannelError(
            f"Expected a volume with one component for the channel {channel_name!r}, got {components} in "
            f"{node.GetName()!r}; split it first (module Vector to Scalar Volume)."
        )
    to_world = parent_to_world(node)
    notes: tuple[str, ...] = ()
    if to_world is not None:
        array, ijk_to_ras = voxels(image), to_world @ local_ijk_to_ras(node)
    else:
        array, ijk_to_ras = _resampled_in_world(node)
        notes = (f"resampled: the parent transform {node.GetParentTransformNode().GetName()!r} is not linear",)
    return Volume(
        array,
        ijk_to_ras,
        channel_names=(channel_name,) if channel_name else (),
        modality=modality_of(node),
        source=node.GetName() or "",
        identifiers={**identifiers_of(node), "grid": WORLD_GRID if notes else NODE_GRID},
        notes=notes,
    )


def node_from_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLVolumeNode:
    """A new volume node with a copy of the image, in world coordinates (under no transform).

    Parameters
    ----------
    scene:
        Where the node is added.
    volume:
        One channel becomes a ``vtkMRMLScalarVolumeNode``, several a ``vtkMRMLVectorVolumeNode``.
    name:
        The node's name; the scene makes it unique.
    """
    kind = "vtkMRMLScalarVolumeNode" if volume.channels == 1 else "vtkMRMLVectorVolumeNode"
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))
    fill_volume_node(node, volume)
    if volume.modality:
        node.SetAttribute(MODALITY, volume.modality)
    node.CreateDefaultDisplayNodes()
    return node


def fill_volume_node(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> None:
    """Give a volume node a copy of the image's voxels, and its matrix."""
    array = volume.array.astype(volume.array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)  # VTK has no bool
    elif array.dtype == np.float16:
        array = array.astype(np.float32)  # nor half precision
    node.SetIJKToRASMatrix(matrix_from_array(volume.ijk_to_ras))
    node.SetAndObserveImageData(image_from_voxels(array))


def lies_on_grid_of(
    node: slicer.vtkMRMLVolumeNode, result: SegmentationResult | ClassificationResult | DetectionResult
) -> bool:
    """Whether the result's voxels are the node's, wherever the node may have moved since."""
    shape = node.GetImageData().GetDimensions()[::-1]
    if shape != result.geometry.shape_kji:
        return False
    for image in result.record.inputs[:1]:
        known = image.get("identifiers", {})
        if isinstance(known, dict) and (known.get("node_id"), known.get("grid")) == (node.GetID(), NODE_GRID):
            return True
    to_world = parent_to_world(node)
    return to_world is not None and result.geometry.matches(Geometry(shape, to_world @ local_ijk_to_ras(node)))


def check_volume_node(node: slicer.vtkMRMLNode | None) -> None:
    """Raise ``InputError`` unless the node is a volume node with voxels."""
    if node is None or not node.IsA("vtkMRMLVolumeNode"):
        raise InputError(f"Expected a volume node, got {node.GetClassName() if node else None}; select a volume.")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(f"The volume node {node.GetName()!r} has no voxels; load or create its image first.")


def _resampled_in_world(node: slicer.vtkMRMLVolumeNode) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (channels, k, j, i) and ijk_to_ras of the volume as its non-linear parents show it."""
    import slicer

    to_world = vtk.vtkGeneralTransform()
    node.GetParentTransformNode().GetTransformToWorld(to_world)
    image, ijk_to_world = vtk.vtkImageData(), vtk.vtkMatrix4x4()
    done = slicer.vtkMRMLVolumeNode.GetTransformedImageData(node, to_world, image, ijk_to_world)
    if not done or image.GetNumberOfPoints() == 0:
        raise GeometryError(
            f"The transform {node.GetParentTransformNode().GetName()!r} leaves nothing of {node.GetName()!r}; "
            "check that it, and those above it, have an inverse over the whole volume."
        )
    return voxels(image), array_from_matrix(ijk_to_world)
