"""Labelled cases in the scene that are learned in seconds: a bright box, somewhere in noise."""

from __future__ import annotations

import numpy as np
import slicer

from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.scene.geometry import oriented_labelmap
from SlicerCNNSegLib.scene.segmentations import register_segmentations
from SlicerCNNSegLib.scene.volumes import node_from_volume

SHAPE_KJI = (20, 22, 24)
BOX_KJI = (8, 9, 10)
BOX_VOXELS = 8 * 9 * 10


def add_box(name: str, seed: int) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a volume node and its segmentation ``NAME truth`` with the segment *Box*."""
    random = np.random.default_rng(seed)
    corner = [int(random.integers(1, size - box)) for size, box in zip(SHAPE_KJI, BOX_KJI, strict=True)]
    mask = np.zeros(SHAPE_KJI, np.uint8)
    mask[tuple(slice(start, start + box) for start, box in zip(corner, BOX_KJI, strict=True))] = 1
    image = random.normal(0, 10, SHAPE_KJI).astype(np.float32) + 100 * mask
    volume = node_from_volume(slicer.mrmlScene, Volume(image[None], np.eye(4), modality="MR"), name)
    register_segmentations(slicer.mrmlScene)
    truth = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} truth")
    truth.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    truth.GetSegmentation().SetSourceRepresentationName(kind)
    segment = slicer.vtkSegment()
    segment.SetName("Box")
    segment.AddRepresentation(kind, oriented_labelmap(mask, np.eye(4), (0, 0, 0)))
    truth.GetSegmentation().AddSegment(segment)
    return volume
