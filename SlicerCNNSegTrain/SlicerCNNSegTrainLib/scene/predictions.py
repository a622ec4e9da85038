"""A finished training's predictions in the scene, each beside the truth and the image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.engine.wording import listed
from SlicerCNNSegLib.scene.records import remove_record
from SlicerCNNSegLib.scene.segmentations import show_segmentation
from SlicerCNNSegLib.scene.volumes import node_from_volume

from .cases import SHOWN

if TYPE_CHECKING:
    import slicer

    from ..engine.data.cases import TrainingCase

VALIDATION, REPORT = Path("validation") / "plain", "evaluation.json"
"""Where ``workflow.py`` evaluates a fold without mirroring, in its folder; asked there, it would load torch."""

FADED = 0.5
"""How far a truth's colour goes to white: it is the prediction's structure, and told apart from it."""

FILL_OPACITY = 0.4
NAMES_LENGTH = 60
"""Characters of names in a message."""


@dataclass(frozen=True, eq=False)
class ShownCase:
    """The nodes of a case, and their folder's item in the subject hierarchy."""

    item: int
    volumes: tuple[slicer.vtkMRMLVolumeNode, ...]
    truth: slicer.vtkMRMLSegmentationNode
    prediction: slicer.vtkMRMLSegmentationNode


def read_evaluation(fold: Path) -> dict[str, Any]:
    """The evaluation of a fold's held-out cases, as ``evaluate_folders`` gave it.

    Raises
    ------
    FileReadError
        There is none.
    """
    return _read_json(fold / VALIDATION / REPORT, "finish the training, or evaluate it with 'cnnseg-train evaluate'")


def worst_cases(evaluation: Mapping[str, Any], metric: str = "dice") -> list[tuple[str, float]]:
    """Every compared case with the mean of a metric over its structures, the worst first.

    Parameters
    ----------
    evaluation:
        As ``evaluate_folders`` gives it.
    metric:
        One that is better when higher: ``dice``, ``iou`` or ``nsd``. Cases that have none (neither truth nor
        prediction holds a structure) are left out.
    """
    means = []
    for case in evaluation["cases"]:
        values = [numbers[metric] for numbers in case["labels"].values() if numbers[metric] is not None]
        if values:
            means.append((str(case["case"]), float(np.mean(values))))
    return sorted(means, key=lambda item: item[1])


def show_case(scene: slicer.vtkMRMLScene, fold: Path, case_id: str) -> ShownCase:
    """Load a held-out case: its image, the truth as outlines, the prediction filled.

    They lie in one folder of the subject hierarchy, named by the case and its Dice. A case that is shown
    already is loaded anew in its place.

    Parameters
    ----------
    scene:
        Where the nodes go.
    fold:
        Folder of a finished training (``RUN/fold_0``).
    case_id:
        One of ``worst_cases``.

    Raises
    ------
    InputError
        There is no such case, or it has no prediction.
    FileReadError
        A file of the training, or the image, is not there any more.
    """
    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap

    truth_file, prediction_file = _pair(fold, case_id)
    model = _read_json(fold / "recipe.json", "choose the folder of a training")["model"]
    labels = tuple(Label.from_json(label) for label in model["labels"])
    channels = tuple(str(channel["name"]) for channel in model["channels"])
    images = [read_volume(path) for path in _held_out(fold, case_id, channels).images]
    truth, prediction = read_labelmap(truth_file), read_labelmap(prediction_file)
    score = dict(worst_cases(read_evaluation(fold))).get(case_id)
    remove_case(scene, fold, case_id)
    names = [case_id] if len(images) == 1 else [f"{case_id} {channel}" for channel in channels]
    volumes = tuple(node_from_volume(scene, image, name) for image, name in zip(images, names, strict=True))
    faded = [replace(x, color=_faded(x.color)) for x in labels]
    true_node = _segmentation(scene, volumes[0], truth.labelmap, truth.geometry, _called(faded, "truth"))
    found_node = _segmentation(
        scene, volumes[0], prediction.labelmap, prediction.geometry, _called(labels, "prediction")
    )
    nodes = (*volumes, true_node, found_node)
    for node, name in zip(nodes, [*names, f"{case_id} truth", f"{case_id} prediction"], strict=True):
        node.SetName(name)  # the scene has numbered them
        node.SetAttribute(SHOWN, _key(fold, case_id))
    true_node.GetDisplayNode().SetVisibility2DFill(False)
    found_node.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
    title = f"{case_id} (no Dice)" if score is None else f"{case_id} (Dice {score:.3f})"
    item = _folder(scene, title, _key(fold, case_id), nodes)
    return ShownCase(item, volumes, true_node, found_node)


def remove_case(scene: slicer.vtkMRMLScene, fold: Path, case_id: str) -> None:
    """Take a case that ``show_case`` loaded out of the scene, with its folder."""
    key = _key(fold, case_id)
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    for node in (node for node in nodes if node.GetAttribute(SHOWN) == key):
        displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
        for gone in (*displays, node):
            scene.RemoveNode(gone)
        item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
        if item:  # Slicer's application has removed it with the node
            hierarchy.RemoveItem(item, False, True)
    for item in _items(hierarchy) if hierarchy else []:
        if hierarchy.GetItemAttribute(item, SHOWN) == key:
            hierarchy.RemoveItem(item, False, False)


def _pair(fold: Path, case_id: str) -> tuple[Path, Path]:
    """The files of truth and prediction."""
    from SlicerCNNSegLib.engine.evaluation.pairs import pair_files

    pairs = {pair.case: pair for pair in pair_files(fold / VALIDATION / "reference", fold / VALIDATION / "prediction")}
    pair = pairs.get(case_id)
    if pair is None or pair.reference is None or pair.prediction is None:
        there = listed([case for case, x in pairs.items() if x.reference and x.prediction], NAMES_LENGTH)
        raise InputError(f"Expected a case with truth and prediction out of {there}, got {case_id!r}.")
    return pair.reference, pair.prediction


def _held_out(fold: Path, case_id: str, channels: tuple[str, ...]) -> TrainingCase:
    """The case in the data that the fold was trained on; reads no recipe, which would load torch."""
    from ..engine.data.read import read_data

    split = _read_json(fold / "split.json", "choose the folder of a training")
    cases = {case.id: case for case in read_data(Path(split["data"]), channels).cases}
    if case_id not in cases:
        raise FileReadError(f"The case {case_id!r} is no longer in {split['data']}; put it back to see its image.")
    return cases[case_id]


def _read_json(path: Path, advice: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileReadError(f"Expected a readable {path} ({error}); {advice}.") from error
    return data


def _called(labels: tuple[Label, ...] | list[Label], word: str) -> tuple[Label, ...]:
    return tuple(replace(label, name=f"{label.name} ({word})") for label in labels)


def _faded(color: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (part + FADED * (1 - part) for part in color)
    return red, green, blue


def _segmentation(
    scene: slicer.vtkMRMLScene,
    volume: slicer.vtkMRMLVolumeNode,
    labelmap: np.ndarray,
    geometry: Geometry,
    labels: tuple[Label, ...],
) -> slicer.vtkMRMLSegmentationNode:
    """A labelmap as a segmentation over the image; values without a label are left out."""
    record = RunRecord("segmentation", "", "", "", {}, "", "", {}, (), {}, (), "")
    node = show_segmentation(scene, SegmentationResult(labelmap, geometry, labels, record), volume)
    remove_record(node)  # a file's labelmap, and no run of now
    return node


def _folder(scene: slicer.vtkMRMLScene, name: str, key: str, nodes: tuple[slicer.vtkMRMLNode, ...]) -> int:
    """A folder of the subject hierarchy with the nodes."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    hierarchy.SetItemAttribute(folder, SHOWN, key)
    for node in nodes:
        hierarchy.CreateItem(folder, node)
    return int(folder)


def _items(hierarchy: slicer.vtkMRMLSubjectHierarchyNode) -> list[int]:
    ids = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), ids, True)
    return [ids.GetId(n) for n in range(ids.GetNumberOfIds())]


def _key(fold: Path, case_id: str) -> str:
    return f"{fold.resolve()} {case_id}"
