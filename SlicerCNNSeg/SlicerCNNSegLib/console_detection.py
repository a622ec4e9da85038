"""The API behind ``from SlicerCNNSegLib import detect_file, detect_volume_node``; see ``console.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Model, model_name, regions_of, scene_of
from .engine.detection.result import DetectionResult
from .engine.progress import Progress
from .engine.region import Region
from .engine.run import run
from .engine.settings import DetectionSettings

if TYPE_CHECKING:
    import slicer

    from .scene.findings import ShownFindings


def detect_file(
    path: str | Path, model: Model, *, progress: Progress | None = None, **settings: Any
) -> DetectionResult:
    """Find nodules in a chest CT, from an image file or a DICOM folder.

    Parameters
    ----------
    path:
        The CT.
    model:
        Id, folder, or what ``load_model`` gave.
    progress:
        Told how far the run is; asked whether to stop.
    **settings:
        Further fields of ``DetectionSettings``: ``regions``, ``threshold``, ``measure``, ``malignancy``, ``device``,
        ``precision``, ``force``.

    Returns
    -------
    DetectionResult
        ``findings`` from the threshold on, ``candidates`` down to the model's lowest score, ``record``.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``.
    """
    from .engine.files.images import read_volume

    return run(DetectionSettings(model_name(model), **settings), [read_volume(Path(path))], progress)


def detect_volume_node(
    node: slicer.vtkMRMLVolumeNode,
    model: Model,
    *,
    region: Region | slicer.vtkMRMLMarkupsROINode | Sequence[Region | slicer.vtkMRMLMarkupsROINode] | None = None,
    scene: slicer.vtkMRMLScene | None = None,
    table: slicer.vtkMRMLTableNode | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> ShownFindings:
    """Find nodules in a volume node and show them: a row, an ROI and a segment each, tied by the finding's id.

    ``scene.findings`` changes the threshold (``set_threshold``) and keeps a review (``review``), without a new run.

    Parameters
    ----------
    node:
        A chest CT.
    region:
        One or more regions of interest, as ROI nodes or ``Region``: only there is searched. None searches all.
    scene:
        Where the findings go; None takes the node's own scene.
    table:
        Of an earlier detection, filled anew with all that belongs to it; None makes new nodes.
    model, progress, **settings:
        As in ``detect_file``.

    Raises
    ------
    InputError
        The node is in no scene and none was given.
    CNNSegError
        See ``engine/errors.py``; the scene is left as it was.
    """
    from .scene.findings import show_findings
    from .scene.volumes import volume_from_node

    scene = scene_of(node, scene)
    if region is not None:
        settings["regions"] = regions_of(region)
    result = run(DetectionSettings(model_name(model), **settings), [volume_from_node(node)], progress)
    return show_findings(scene, result, node, table)
