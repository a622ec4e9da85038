"""A model's run for the Segment Editor: what it found, on the segmentation's reference geometry."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.inputs import check_modality
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.steps import Steps
from SlicerCNNSegLib.scene.segment_writing import ReferenceResult, bringing_on_reference_geometry
from SlicerCNNSegLib.scene.volumes import volume_from_node
from SlicerCNNSegLib.widgets.worker_run import RunEnd, WorkerRun


@dataclass(frozen=True)
class Target:
    """Structures of a model, and the segment that they go into.

    Parameters
    ----------
    labels:
        The structures; the first one names and colours a new segment.
    segment_id:
        The segment; "" for a new one.
    """

    labels: tuple[Label, ...]
    segment_id: str = ""


@dataclass(frozen=True, eq=False)
class EffectRequest:
    """What to run on what, and into which segments the result goes.

    Parameters
    ----------
    volume_node:
        The source volume.
    settings:
        With the regions to which the run is restricted.
    segmentation_node, reference:
        The segmentation, and its reference geometry in its own frame.
    targets:
        The segments.
    """

    volume_node: slicer.vtkMRMLScalarVolumeNode
    settings: SegmentationSettings
    segmentation_node: slicer.vtkMRMLSegmentationNode
    reference: slicer.vtkOrientedImageData
    targets: tuple[Target, ...]


@dataclass(frozen=True, eq=False)
class Proposal:
    """What may be written into the segments.

    Parameters
    ----------
    request:
        What was asked for.
    found:
        The result on the reference geometry.
    parts:
        Each target, and the values in ``found`` that belong to it.
    record:
        How it came about.
    """

    request: EffectRequest
    found: ReferenceResult
    parts: tuple[tuple[Target, frozenset[int]], ...]
    record: RunRecord


class EffectRun(WorkerRun):
    """Runs a model for the effect; ``RunEnd.shown`` is a ``Proposal``."""

    def start(self, request: EffectRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            The volume, the region or the model cannot be used; nothing was started.
        """
        self._check_idle()
        volume = volume_from_node(request.volume_node)
        check_modality(find_model(request.settings.model), [volume], force=request.settings.force)
        for region in request.settings.regions:
            region.index_box(volume.geometry)
        self._begin(request.settings, (request.volume_node,), (volume,))
        self._request = request

    def _prepare(self, result: SegmentationResult) -> Steps[ReferenceResult]:  # type: ignore[override]
        request = self._request
        regions = request.settings.regions
        return (
            yield from bringing_on_reference_geometry(result, regions, request.segmentation_node, request.reference)
        )

    def _show(self, result: SegmentationResult, prepared: ReferenceResult) -> RunEnd:  # type: ignore[override]
        request = self._request
        if not self._scene.IsNodePresent(request.segmentation_node):
            raise InputError("The segmentation was removed from the scene during the run; nothing was added.")
        parts = tuple((target, _values_of(result, target)) for target in request.targets)
        return RunEnd(Proposal(request, prepared, parts, result.record), result.record.warnings)


def _values_of(result: SegmentationResult, target: Target) -> frozenset[int]:
    """The labelmap's values that make up the target; one structure may be made of several, where they overlap."""
    made_of = {compound.label.name: compound.values for compound in result.compounds}
    return frozenset(value for label in target.labels for value in made_of.get(label.name, {label.value}))
