"""One press on Apply: from volume nodes to probabilities and a heat map, through the worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import slicer

from ..engine.catalogue import find_model
from ..engine.classification.around import MARGIN_MM, regions_around_segments
from ..engine.classification.model import ClassificationModel
from ..engine.classification.result import ClassificationResult
from ..engine.inputs import check_modality
from ..engine.region import Region
from ..engine.settings import ClassificationSettings
from ..engine.steps import Steps
from ..scene.classifications import ShownClasses, put_heat, remove_classes, set_classes, show_classes
from ..scene.geometry import copying_voxels
from ..scene.labelmaps import labelmap_from_segmentation
from ..scene.regions import region_from_roi
from ..scene.volumes import volume_from_node
from .worker_run import RunEnd, WorkerRun


@dataclass(frozen=True)
class ClassifyRequest:
    """What to classify.

    Parameters
    ----------
    volume_nodes:
        The input: a volume for each channel of the model, in its order.
    settings:
        Their regions are replaced by those of the nodes.
    roi_node:
        Box that is classified; None for the whole volume.
    segmentation_node, margin_mm:
        Instead: what surrounds each of its segments is classified, so far around.
    """

    volume_nodes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    settings: ClassificationSettings
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None
    margin_mm: float = MARGIN_MM

    def regions(self) -> tuple[Region, ...]:
        """The boxes that are classified.

        Raises
        ------
        CNNSegError
            A node is empty.
        """
        if self.roi_node is not None:
            return (region_from_roi(self.roi_node),)
        if self.segmentation_node is not None:
            labelmap, geometry, labels = labelmap_from_segmentation(self.segmentation_node)
            return regions_around_segments(labelmap, geometry, labels, self.margin_mm)
        return self.settings.regions


class ClassifyRun(WorkerRun):
    """Classifies volume nodes; ``RunEnd.shown`` is a ``ShownClasses`` in new nodes."""

    def start(self, request: ClassifyRequest) -> None:
        """Check the request and hand it to the worker; the classes that the volume had are taken away.

        Raises
        ------
        CNNSegError
            A volume, a region or the model cannot be used; nothing was started and nothing changed.
        """
        self._check_idle()
        package = ClassificationModel.of(find_model(request.settings.model)).package
        volumes = [volume_from_node(node) for node in request.volume_nodes]
        check_modality(package, volumes, force=request.settings.force)
        settings = replace(request.settings, regions=request.regions())
        for region in settings.regions:
            region.index_box(volumes[0].geometry)
        self._begin(settings, request.volume_nodes, volumes)
        self._node = request.volume_nodes[0]
        remove_classes(self._node)

    def _prepare(self, result: ClassificationResult) -> Steps[Any]:  # type: ignore[override]
        if result.explanation is None:
            return None
        return (yield from copying_voxels(result.explanation.heat[None]))

    def _show(self, result: ClassificationResult, prepared: Any) -> RunEnd:  # type: ignore[override]
        set_classes(self._node, result)
        heat = put_heat(self._scene, result, prepared, self._node) if prepared is not None else None
        table = show_classes(self._scene, result)
        return RunEnd(ShownClasses(result, table, heat), result.record.warnings)
