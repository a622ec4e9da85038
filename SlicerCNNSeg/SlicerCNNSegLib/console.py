"""The API behind ``from SlicerCNNSegLib import ...``.

Every function here is a few lines around ``engine.run.run``; heavy packages load when one is called.
They run in the calling process and block it until they are done; with ``worker=WorkerClient()`` they run
in a process of its own, which keeps models warm, and whose end for want of memory is an error like others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine.catalogue import CatalogueEntry, find_model, list_models
from .engine.classification.around import MARGIN_MM, regions_around_segments
from .engine.classification.result import ClassificationResult
from .engine.errors import InputError
from .engine.package import ModelPackage
from .engine.progress import Progress
from .engine.region import Region
from .engine.result import SegmentationResult
from .engine.run import run
from .engine.settings import DEFAULT_MODEL, ClassificationSettings, SegmentationSettings
from .engine.volume import Volume
from .worker.client import WorkerClient
from .worker.interface import Worker

if TYPE_CHECKING:
    import numpy as np
    import slicer

    from .scene.classifications import ShownClasses

__all__ = [
    "CatalogueEntry",
    "WorkerClient",
    "classify_array",
    "classify_file",
    "classify_volume_node",
    "list_models",
    "load_model",
    "segment_array",
    "segment_file",
    "segment_volume_node",
]

Model = str | Path | ModelPackage


def load_model(id_or_folder: str | Path) -> ModelPackage:
    """The model of that id (``hippocampus-mr``), or in that folder.

    Only its description is read; the weights are loaded by the first run.

    Raises
    ------
    UnknownModelError
        There is none; the message lists the known ids.
    ModelError
        There is one, but it is broken.
    """
    return find_model(id_or_folder)


def segment_file(
    paths: str | Path | Sequence[str | Path],
    model: Model = DEFAULT_MODEL,
    *,
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> SegmentationResult:
    """Segment one case from image files or DICOM folders.

    Parameters
    ----------
    paths:
        The case's image, or one per channel in the model's order.
    model:
        Id, folder, or what ``load_model`` gave.
    progress:
        Told how far the run is; asked whether to stop.
    worker:
        Runs it in its process; None in this one.
    **settings:
        Further fields of ``SegmentationSettings``: ``regions``, ``device``, ``precision``, ``mirror``, ...

    Returns
    -------
    SegmentationResult
        ``labelmap`` of shape (k, j, i) on the grid of the first image, ``labels``, ``structures``
        (voxels and mm3 of each label), ``record``.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``.
    """
    from .engine.files.images import read_volume

    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    wanted = _settings(model, settings)
    result: SegmentationResult = _run(worker)(wanted, [read_volume(Path(path)) for path in paths], progress)
    return result


def segment_array(
    array: np.ndarray,
    ijk_to_ras: np.ndarray,
    model: Model = DEFAULT_MODEL,
    *,
    modality: str = "",
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> SegmentationResult:
    """Segment an array.

    Parameters
    ----------
    array:
        Shape (k, j, i), or (channels, k, j, i) with the channels in the model's order.
    ijk_to_ras:
        4x4, from voxel-centre index (i, j, k, 1) to RAS mm.
    modality:
        DICOM modality (``MR``), checked against the model's; "" is not checked.
    model, progress, worker, **settings:
        As in ``segment_file``.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``.
    """
    volume = Volume(array[None] if array.ndim == 3 else array, ijk_to_ras, modality=modality, source="array")
    result: SegmentationResult = _run(worker)(_settings(model, settings), [volume], progress)
    return result


def segment_volume_node(
    nodes: slicer.vtkMRMLVolumeNode | Sequence[slicer.vtkMRMLVolumeNode],
    model: Model = DEFAULT_MODEL,
    *,
    scene: slicer.vtkMRMLScene | None = None,
    region: Region | slicer.vtkMRMLMarkupsROINode | Sequence[Region | slicer.vtkMRMLMarkupsROINode] | None = None,
    output: slicer.vtkMRMLSegmentationNode | None = None,
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> slicer.vtkMRMLSegmentationNode:
    """Segment volume nodes of a scene and show the result there.

    Parameters
    ----------
    nodes:
        The volume node, or one per channel in the model's order.
    scene:
        Where the segmentation goes; None takes the first node's own scene.
    region:
        One or more regions of interest, as ROI nodes or ``Region``. Several ROI nodes are kept apart
        by their names: two named ``Left`` and ``Right`` give ``Left ...`` and ``Right ...`` segments.
    output:
        The segmentation node to fill, emptied first; None makes one.
    model, progress, worker, **settings:
        As in ``segment_file``.

    Returns
    -------
    vtkMRMLSegmentationNode
        Under the same transform as the first volume.

    Raises
    ------
    InputError
        The node is in no scene and none was given.
    CNNSegError
        See ``engine/errors.py``; the scene is left as it was.
    """
    from .scene.segmentations import show_segmentation
    from .scene.volumes import volume_from_node

    nodes = list(nodes) if isinstance(nodes, Sequence) else [nodes]
    scene = scene_of(nodes[0], scene)
    if region is not None:
        settings["regions"] = regions_of(region)
    wanted = _settings(model, settings)
    result: SegmentationResult = _run(worker)(wanted, [volume_from_node(node) for node in nodes], progress)
    return show_segmentation(scene, result, nodes[0], output)


def classify_file(
    paths: str | Path | Sequence[str | Path],
    model: Model,
    *,
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> ClassificationResult:
    """Classify one case from image files or DICOM folders.

    Parameters
    ----------
    paths, model, progress, worker:
        As in ``segment_file``.
    **settings:
        Further fields of ``ClassificationSettings``: ``regions``, ``explain``, ``device``, ...

    Returns
    -------
    ClassificationResult
        ``rows()`` has the probabilities of each region; ``explanation.heat`` is of shape (k, j, i).

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``.
    """
    from .engine.files.images import read_volume

    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    wanted = ClassificationSettings(model_name(model), **settings)
    result: ClassificationResult = _run(worker)(wanted, [read_volume(Path(path)) for path in paths], progress)
    return result


def classify_array(
    array: np.ndarray,
    ijk_to_ras: np.ndarray,
    model: Model,
    *,
    modality: str = "",
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> ClassificationResult:
    """Classify an array; parameters as in ``segment_array`` and ``classify_file``.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``.
    """
    volume = Volume(array[None] if array.ndim == 3 else array, ijk_to_ras, modality=modality, source="array")
    result: ClassificationResult = _run(worker)(
        ClassificationSettings(model_name(model), **settings), [volume], progress
    )
    return result


def classify_volume_node(
    nodes: slicer.vtkMRMLVolumeNode | Sequence[slicer.vtkMRMLVolumeNode],
    model: Model,
    *,
    scene: slicer.vtkMRMLScene | None = None,
    region: Region | slicer.vtkMRMLMarkupsROINode | Sequence[Region | slicer.vtkMRMLMarkupsROINode] | None = None,
    segmentation: slicer.vtkMRMLSegmentationNode | None = None,
    margin_mm: float = MARGIN_MM,
    table: slicer.vtkMRMLTableNode | None = None,
    heat: slicer.vtkMRMLScalarVolumeNode | None = None,
    progress: Progress | None = None,
    worker: Worker | None = None,
    **settings: Any,
) -> ShownClasses:
    """Classify volume nodes of a scene and show the result there.

    The probabilities go into a table, and onto the first volume as the attribute ``CNNSeg.Classes``; with
    ``explain=`` the heat map becomes a volume, laid over the first one in the slice views.

    Parameters
    ----------
    nodes, scene, progress, worker:
        As in ``segment_volume_node``.
    model:
        Id, folder, or what ``load_model`` gave.
    region:
        As in ``segment_volume_node``: each is classified by itself.
    segmentation:
        Instead of regions: what surrounds each of its segments is classified, by the segment's name.
    margin_mm:
        How far around a segment.
    table, heat:
        Nodes to fill; None makes new ones.
    **settings:
        As in ``classify_file``.

    Raises
    ------
    InputError
        The node is in no scene and none was given, or there are regions and a segmentation.
    CNNSegError
        See ``engine/errors.py``; the scene is left as it was.
    """
    from .scene.classifications import ShownClasses, set_classes, show_classes, show_heat
    from .scene.labelmaps import labelmap_from_segmentation
    from .scene.volumes import volume_from_node

    nodes = list(nodes) if isinstance(nodes, Sequence) else [nodes]
    scene = scene_of(nodes[0], scene)
    if region is not None and segmentation is not None:
        raise InputError("Expected regions or a segmentation to classify around, got both; leave one out.")
    if region is not None:
        settings["regions"] = regions_of(region)
    elif segmentation is not None:
        labelmap, geometry, labels = labelmap_from_segmentation(segmentation)
        settings["regions"] = regions_around_segments(labelmap, geometry, labels, margin_mm)
    wanted = ClassificationSettings(model_name(model), **settings)
    result: ClassificationResult = _run(worker)(wanted, [volume_from_node(node) for node in nodes], progress)
    set_classes(nodes[0], result)
    shown = show_heat(scene, result, nodes[0], heat) if result.explanation else None
    return ShownClasses(result, show_classes(scene, result, table), shown)


def scene_of(node: slicer.vtkMRMLVolumeNode, scene: slicer.vtkMRMLScene | None) -> slicer.vtkMRMLScene:
    """The scene that was given, else the node's own."""
    scene = scene or node.GetScene()
    if scene is None:
        raise InputError(f"The volume node {node.GetName()} is in no scene; add it to one or pass scene=...")
    return scene


def regions_of(
    given: Region | slicer.vtkMRMLMarkupsROINode | Sequence[Region | slicer.vtkMRMLMarkupsROINode],
) -> tuple[Region, ...]:
    """ROI nodes as regions, of several each with its node's name."""
    from .scene.regions import region_from_roi

    items = list(given) if isinstance(given, Sequence) else [given]
    return tuple(
        item if isinstance(item, Region) else region_from_roi(item, item.GetName() if len(items) > 1 else "")
        for item in items
    )


def model_name(model: Model) -> str:
    """What settings call a model: its id or folder."""
    return str(model.folder if isinstance(model, ModelPackage) else model)


def _run(worker: Worker | None) -> Callable[..., Any]:
    """Who runs: the worker, or this process."""
    return run if worker is None else worker.run


def _settings(model: Model, options: dict[str, Any]) -> SegmentationSettings:
    return SegmentationSettings(model_name(model), **options)
