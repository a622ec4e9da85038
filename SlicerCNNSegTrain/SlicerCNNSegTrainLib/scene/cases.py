"""Labelled cases in a scene: which volume belongs to which segmentation.

A truth's volume is, in this order, the one that it was drawn on (the reference of its image geometry),
the one in the same study or folder of the subject hierarchy, or the one of the same name (``Head``,
``Head segmentation``). What is left in doubt is told, and never guessed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.paths import safe_name
from SlicerCNNSegLib.engine.wording import listed
from SlicerCNNSegLib.scene.records import record_of

from .places import Patients, nodes_beside, unique
from .truth import is_segmentation

if TYPE_CHECKING:
    import slicer

REFERENCE, HIERARCHY, NAME = "reference", "hierarchy", "name"
"""How a truth's volume was found."""

SHOWN = "CNNSeg.ShownPrediction"
"""Attribute of nodes that show a run's own cases (``predictions.py``): they are no new ones."""

IMAGES = ("vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode")
TRUTHS = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")

TRUTH_WORDS = re.compile(r" (ground truth|truth|gt|segmentation|seg|labelmap|labels?|masks?)( \d+)?$")
"""What people, and Slicer, write behind an image's name to name its segmentation."""

NNUNET_CHANNEL = re.compile(r"_(\d{4})$")
"""The end of a name by which nnU-Net tells channels apart: a case's own name must not end so."""

NAMES_LENGTH = 80
"""Characters of nodes' names in a message."""


@dataclass(frozen=True, eq=False)
class SceneCase:
    """One labelled case.

    Parameters
    ----------
    name:
        Unique among its scene's cases, and harmless as a file's name.
    volumes:
        One volume node per channel; a vector volume has several.
    truth:
        Segmentation node or labelmap volume node.
    patient:
        From the subject hierarchy; empty where none is known.
    found_by:
        ``REFERENCE``, ``HIERARCHY`` or ``NAME``.
    """

    name: str
    volumes: tuple[slicer.vtkMRMLVolumeNode, ...]
    truth: slicer.vtkMRMLNode
    patient: str = ""
    found_by: str = REFERENCE


@dataclass(frozen=True)
class SceneCases:
    """The cases of a scene, and what was left out or should be looked at."""

    cases: tuple[SceneCase, ...]
    notes: tuple[str, ...]


def find_cases(scene: slicer.vtkMRMLScene, channels: Sequence[str] = ()) -> SceneCases:
    """Every volume with a segmentation (or labelmap volume) in the scene.

    Parameters
    ----------
    scene:
        Nodes hidden from users, and those that show a run's predictions, are passed over.
    channels:
        For images of several volumes: words that stand in the volumes' names (``T1``, ``FLAIR``), in the
        channels' order. The volumes of one case lie in one folder, or have otherwise the same name.

    Raises
    ------
    InputError
        There is no such pair.
    """
    images, truths = _nodes(scene, IMAGES), _nodes(scene, TRUTHS)
    found, notes, drawn = [], [], defaultdict(list)
    for truth in truths:
        try:
            volumes, how = _volumes_of(truth, images, channels)
        except InputError as error:
            notes.append(str(error))
            continue
        found.append((truth, volumes, how))
        drawn[volumes[0].GetID()].append(truth)
    chosen = {volume: _one_truth(same, notes) for volume, same in drawn.items()}
    cases: list[SceneCase] = []
    patients = Patients()
    for truth, volumes, how in found:
        if chosen[volumes[0].GetID()] is truth:
            name = unique(_case_name(volumes[0], truth, channels), [case.name for case in cases])
            patient = patients.name_of(volumes[0]) or patients.name_of(truth)
            cases.append(SceneCase(name, tuple(volumes), truth, patient, how))
    if not cases:
        why = f": {notes[0]}" if notes else f" ({len(images)} volumes, {len(truths)} segmentations)."
        raise InputError(f"Expected volumes with segmentations in the scene, found no pair{why}")
    return SceneCases(tuple(cases), tuple(notes))


def _nodes(scene: slicer.vtkMRMLScene, classes: Sequence[str]) -> list[slicer.vtkMRMLNode]:
    """The scene's nodes of these very classes (a labelmap volume is a scalar volume too), in its order."""
    nodes = []
    for name in classes:
        every = (scene.GetNthNodeByClass(n, name) for n in range(scene.GetNumberOfNodesByClass(name)))
        nodes += [node for node in every if node.GetClassName() == name]
    return [node for node in nodes if not node.GetHideFromEditors() and not node.GetAttribute(SHOWN)]


def _volumes_of(
    truth: slicer.vtkMRMLNode, images: Sequence[slicer.vtkMRMLVolumeNode], channels: Sequence[str]
) -> tuple[list[slicer.vtkMRMLVolumeNode], str]:
    """The volumes that a truth was drawn on, one per channel, and how they were found.

    Raises
    ------
    InputError
        There is none, or there are several that it could be.
    """
    if is_segmentation(truth):
        if truth.GetSegmentation().GetNumberOfSegments() == 0:
            raise InputError(f"{truth.GetName()!r} was left out: it has no segments; draw or import some first.")
        reference = truth.GetNodeReference(truth.GetReferenceImageGeometryReferenceRole())
        if reference in images:
            return _channels_of(reference, truth, images, channels), REFERENCE
    for level in nodes_beside(truth):
        beside = [image for image in images if image in level]
        if beside:
            return _channels_of(None, truth, beside, channels), HIERARCHY
    return _channels_of(None, truth, _of_same_name(truth, images, channels), channels), NAME


def _channels_of(
    reference: slicer.vtkMRMLVolumeNode | None,
    truth: slicer.vtkMRMLNode,
    images: Sequence[slicer.vtkMRMLVolumeNode],
    channels: Sequence[str],
) -> list[slicer.vtkMRMLVolumeNode]:
    """One volume per channel out of those that come into question."""
    if not channels:
        return [reference or _only(images, truth, "volume", channels)]
    if reference is not None:
        levels = [[image for image in images if image in level] for level in nodes_beside(reference)[:1]]
        images = levels[0] if levels else [x for x in images if _stem(x, channels) == _stem(reference, channels)]
    return [
        _only(
            [image for image in images if _has_word(image, word)], truth, f"volume for the channel {word!r}", channels
        )
        for word in channels
    ]


def _only(
    images: Sequence[slicer.vtkMRMLVolumeNode], truth: slicer.vtkMRMLNode, what: str, channels: Sequence[str]
) -> slicer.vtkMRMLVolumeNode:
    """The one volume that it can be; by its name where there are several.

    Raises
    ------
    InputError
        There is none, or there are several.
    """
    same = images if len(images) == 1 else _of_same_name(truth, images, channels)
    if len(same) == 1:
        return same[0]
    several = listed([repr(image.GetName()) for image in images], NAMES_LENGTH)
    found = f"it could be any of {several}" if images else "none was found"
    raise InputError(
        f"{truth.GetName()!r} was left out: expected one {what}, {found}; choose its source volume in the Segment "
        "Editor, put both into one folder of the subject hierarchy, or give them one name."
    )


def _of_same_name(
    truth: slicer.vtkMRMLNode, images: Iterable[slicer.vtkMRMLVolumeNode], channels: Sequence[str]
) -> list[slicer.vtkMRMLVolumeNode]:
    name = _words(truth.GetName())
    while (shorter := TRUTH_WORDS.sub("", name)) != name:
        name = shorter
    wanted = {name, _words(truth.GetName())}
    return [image for image in images if _stem(image, channels) in wanted]


def _words(name: str) -> str:
    """A name as it is compared: its words in lower case."""
    return " ".join(re.split(r"[\W_]+", name.casefold())).strip()


def _stem(image: slicer.vtkMRMLVolumeNode, channels: Sequence[str]) -> str:
    """A volume's name as it is compared, without the channel's word."""
    name = f" {_words(image.GetName())} "
    word = next((word for word in channels if _has_word(image, word)), "")
    return " ".join(name.replace(f" {_words(word)} ", " ", 1).split()) if word else name.strip()


def _has_word(image: slicer.vtkMRMLVolumeNode, word: str) -> bool:
    return f" {_words(word)} " in f" {_words(image.GetName())} "


def _case_name(image: slicer.vtkMRMLVolumeNode, truth: slicer.vtkMRMLNode, channels: Sequence[str]) -> str:
    """The volume's name as a file's name, without the channel's word; the truth's where that leaves nothing."""
    name = image.GetName() or ""
    for word in channels:
        if _has_word(image, word):
            name = re.sub(rf"[\W_]*(?<![^\W_]){re.escape(word)}(?![^\W_])", "", name, count=1, flags=re.IGNORECASE)
            break
    return NNUNET_CHANNEL.sub(r"-\1", safe_name(name or truth.GetName()))


def _one_truth(truths: Sequence[slicer.vtkMRMLNode], notes: list[str]) -> slicer.vtkMRMLNode | None:
    """The one to learn from out of a volume's segmentations: what was drawn goes before what a model gave."""
    drawn = [truth for truth in truths if record_of(truth) is None] or list(truths)
    if len(drawn) > 1:
        names = listed([repr(truth.GetName()) for truth in drawn], NAMES_LENGTH)
        notes.append(f"{names} are of one volume and were left out: keep the one to learn from, and remove the others.")
        return None
    for truth in truths:
        record = record_of(truth)
        if truth is not drawn[0]:
            notes.append(f"{truth.GetName()!r} was left out: it is a model's result, {drawn[0].GetName()!r} is not.")
        elif record is not None:
            notes.append(
                f"{truth.GetName()!r} is a result of the model {record['model_id']}: learn from it only once it "
                "was corrected."
            )
    return drawn[0]
