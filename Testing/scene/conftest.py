"""A real MRML scene in plain Python, and what can be put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SlicerCNNSegLib.engine.labels import Code, Label
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.volume import Volume

NEEDS = "needs the slicer-core wheel: pip install cnnseg[slicer]"

HIPPOCAMPUS = Code("SCT", "5366008", "Hippocampus")
FRONT = Label(1, "Anterior hippocampus", (0.9, 0.3, 0.1), type=HIPPOCAMPUS)
BACK = Label(2, "Posterior hippocampus", (0.1, 0.6, 0.8), type=HIPPOCAMPUS).on_side("left", 2)
UNCODED = Label(3, "Something else", (0.2, 0.2, 0.2))
LABELS = (FRONT, BACK, UNCODED)

OBLIQUE = np.array([[0.8, -0.5, 0.3, -20.0], [0.6, 0.7, -0.2, 15.0], [-0.1, 0.4, 2.5, -40.0], [0, 0, 0, 1]])
"""Rotated, anisotropic and a little sheared."""


@pytest.fixture(scope="session")
def slicer() -> Any:
    return pytest.importorskip("slicer", reason=NEEDS)


@pytest.fixture(scope="session")
def vtk(slicer: Any) -> Any:
    return pytest.importorskip("vtk", reason=NEEDS)


@pytest.fixture
def a_new_scene(slicer: Any, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Scenes that can read and write scene files, as Slicer's application sets its own up."""
    scenes = []

    def make() -> Any:
        scene, cache, data = slicer.vtkMRMLScene(), slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(str(tmp_path))
        data.SetCacheManager(cache)
        scene.SetCacheManager(cache)
        scene.SetDataIOManager(data)
        scenes.append(scene)
        return scene

    yield make
    for scene in scenes:
        scene.Clear(1)


@pytest.fixture
def a_scene(a_new_scene: Callable[[], Any]) -> Any:
    return a_new_scene()


@pytest.fixture
def a_volume_node(a_scene: Any, vtk: Any) -> Callable[..., Any]:
    """A volume node with these voxels, made with VTK's own functions."""

    def make(array: np.ndarray, ijk_to_ras: np.ndarray | None = None, kind: str = "Scalar", name: str = "Head") -> Any:
        from vtk.util.numpy_support import numpy_to_vtk

        node = a_scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", name)
        image = vtk.vtkImageData()
        image.SetDimensions(*array.shape[2::-1])
        components = array.reshape(-1, array.shape[3]) if array.ndim == 4 else array.ravel()
        image.GetPointData().SetScalars(numpy_to_vtk(components, deep=True))
        node.SetAndObserveImageData(image)
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy((np.eye(4) if ijk_to_ras is None else ijk_to_ras).ravel())
        node.SetIJKToRASMatrix(matrix)
        return node

    return make


@pytest.fixture
def a_segmentation(slicer: Any, vtk: Any, a_scene: Any) -> Callable[..., Any]:
    """A segmentation drawn on a volume: a segment on a layer of its own for each mask (k, j, i) by name."""

    def make(volume: Any, masks: dict[str, np.ndarray], name: str = "Drawn", terminology: str = "") -> Any:
        from SlicerCNNSegLib.scene.geometry import local_ijk_to_ras, oriented_labelmap
        from SlicerCNNSegLib.scene.segmentations import register_segmentations

        register_segmentations(a_scene)
        node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        if volume is not None:
            node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
            node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        node.GetSegmentation().SetSourceRepresentationName(kind)
        for segment_name, mask in masks.items():
            segment = slicer.vtkSegment()
            segment.SetName(segment_name)
            segment.SetTerminology(terminology or segment.GetTerminology())
            grid = np.eye(4) if volume is None else local_ijk_to_ras(volume)
            segment.AddRepresentation(kind, oriented_labelmap(mask.astype(np.uint8), grid, (0, 0, 0)))
            node.GetSegmentation().AddSegment(segment)
        return node

    return make


@pytest.fixture
def a_linear_transform(a_scene: Any, vtk: Any) -> Callable[..., Any]:
    """A transform node with this 4x4, under ``parent``."""

    def make(array: np.ndarray, parent: Any = None) -> Any:
        node = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(np.asarray(array, dtype=float).ravel())
        node.SetMatrixTransformToParent(matrix)
        node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        return node

    return make


@pytest.fixture
def a_bent_transform(a_scene: Any, vtk: Any) -> Callable[..., Any]:
    """A smooth non-linear transform node (grid, bspline, thinplate) over 240 mm, of up to 9 mm at the origin."""

    def displaced(point: np.ndarray) -> np.ndarray:
        return np.array([6.0, 4.0, -5.0]) * np.exp(-float(point @ point) / (2 * 60.0**2))

    def of_grid(kind: str) -> Any:
        from vtk.util.numpy_support import numpy_to_vtk

        axis = np.linspace(-120, 120, 25)
        field = np.array([displaced(np.array([x, y, z])) for z in axis for y in axis for x in axis])
        image = vtk.vtkImageData()
        image.SetDimensions(25, 25, 25)
        image.SetSpacing(10, 10, 10)
        image.SetOrigin(-120, -120, -120)
        image.GetPointData().SetScalars(numpy_to_vtk(field, deep=True))
        if kind == "grid":
            transform = vtk.vtkGridTransform()
            transform.SetDisplacementGridData(image)
            transform.SetInterpolationModeToCubic()
        else:
            transform = vtk.vtkBSplineTransform()
            transform.SetCoefficientData(image)
        return transform

    def of_points() -> Any:
        transform, before, after = vtk.vtkThinPlateSplineTransform(), vtk.vtkPoints(), vtk.vtkPoints()
        for x in (-60, 0, 60):
            for y in (-60, 0, 60):
                for z in (-60, 0, 60):
                    point = np.array([x, y, z], dtype=float)
                    before.InsertNextPoint(point)
                    after.InsertNextPoint(point + displaced(point))
        transform.SetBasisToR()
        transform.SetSourceLandmarks(before)
        transform.SetTargetLandmarks(after)
        return transform

    def make(kind: str, parent: Any = None) -> Any:
        node = a_scene.AddNewNodeByClass("vtkMRMLTransformNode", kind)
        node.SetAndObserveTransformToParent(of_points() if kind == "thinplate" else of_grid(kind))
        node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        return node

    return make


@dataclass
class Head:
    """A volume node with a bright cube of 4 x 4 x 4 voxels around the local RAS point ``blob_ras_mm``."""

    node: Any
    blob_ras_mm: np.ndarray

    def blob_in_world(self) -> np.ndarray:
        """Where VTK's own transforms carry the blob's centre, RAS mm."""
        point = [0.0, 0.0, 0.0]
        self.node.TransformPointToWorld(self.blob_ras_mm, point)
        return np.array(point)


@pytest.fixture
def a_head_with_a_blob(a_volume_node: Callable[..., Any]) -> Callable[..., Head]:
    """A volume of 30 x 28 x 24 voxels (i, j, k) of -1000, its blob of 100 around index (13.5, 11.5, 9.5)."""

    def make(ijk_to_ras: np.ndarray, parent: Any = None, *, centred: bool = True) -> Head:
        array = np.full((24, 28, 30), -1000, dtype=np.int16)
        array[8:12, 10:14, 12:16] = 100
        matrix = np.array(ijk_to_ras, dtype=float)
        centre = np.array([13.5, 11.5, 9.5, 1.0])
        if centred:  # near the origin, where the non-linear transforms bend most
            matrix[:3, 3] = -matrix[:3, :3] @ centre[:3] + [3, -2, 4]
        node = a_volume_node(array, matrix)
        node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        return Head(node, (matrix @ centre)[:3])

    return make


@pytest.fixture
def a_record() -> Callable[..., RunRecord]:
    """The record of a run on these volumes, as the engine writes it."""

    def make(*volumes: Volume, **more: Any) -> RunRecord:
        inputs = tuple({"source": v.source, "identifiers": dict(v.identifiers)} for v in volumes)
        plain: dict[str, Any] = {
            "task": "segmentation",
            "model_id": "hippocampus-mr",
            "model_version": "1.0.0",
            "model_sha256": "ab" * 32,
            "settings": {"device": "cpu"},
            "device": "cpu",
            "precision": "fp32",
            "versions": {"cnnseg": "0.1.0"},
            "inputs": inputs,
            "seconds": {"network": 1.5},
            "warnings": ('a "quoted"; <odd> % text\nin two lines, with é',),
            "started": "2026-01-02T03:04:05+00:00",
        }
        return RunRecord(**{**plain, **more})

    return make


@pytest.fixture
def a_result(a_record: Callable[..., RunRecord]) -> Callable[..., SegmentationResult]:
    """What a perfect model finds in the volume: ``value`` wherever the voxel is above 0."""

    def make(volume: Volume, value: int = 1) -> SegmentationResult:
        labelmap = ((volume.array[0] > 0) * value).astype(np.uint8)
        return SegmentationResult(labelmap, volume.geometry, LABELS, a_record(volume))

    return make


@pytest.fixture
def centre_in_world(vtk: Any) -> Callable[..., np.ndarray]:
    """Centre of mass of a segment, carried to the world by VTK's own transforms, RAS mm, shape (3,).

    ``GetSegmentBinaryLabelmapRepresentation`` with ``applyParentTransform`` cannot be the oracle: under
    nested linear transforms ``vtkOrientedImageDataResample`` (Slicer 5.13) multiplies them in the wrong order.
    """

    def measure(node: Any, segment_id: str = "Segment_1") -> np.ndarray:
        from vtk.util.numpy_support import vtk_to_numpy

        image = node.GetBinaryLabelmapInternalRepresentation(segment_id)
        array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        mine = array == node.GetSegmentation().GetSegment(segment_id).GetLabelValue()
        index = np.argwhere(mine)[:, ::-1].mean(axis=0) + image.GetExtent()[0::2]
        matrix, point = vtk.vtkMatrix4x4(), [0.0, 0.0, 0.0]
        image.GetImageToWorldMatrix(matrix)  # "world" is the node's own frame here
        node.TransformPointToWorld(matrix.MultiplyPoint([*index, 1.0])[:3], point)
        return np.array(point)

    return measure


@pytest.fixture
def oblique() -> np.ndarray:
    return OBLIQUE.copy()
