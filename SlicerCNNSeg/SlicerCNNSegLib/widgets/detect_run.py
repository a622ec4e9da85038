"""One press on Apply: from a CT to findings, through the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from ..engine.catalogue import find_model
from ..engine.classification.around import MARGIN_MM
from ..engine.detection.result import DetectionResult
from ..engine.inputs import check_modality, match_channels
from ..engine.settings import DetectionSettings
from ..engine.steps import Steps
from ..scene.findings import preparing_findings, put_findings
from ..scene.volumes import volume_from_node
from .worker_run import RunEnd, WorkerRun, restricted


@dataclass(frozen=True)
class DetectRequest:
    """What to search: the CT, and how.

    Parameters
    ----------
    settings:
        Their regions are replaced by ``region_node``.
    region_node, margin_mm:
        ROI, or segmentation around which is searched, so far around; None for all of the lungs.
    """

    volume_nodes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    settings: DetectionSettings
    region_node: slicer.vtkMRMLDisplayableNode | None = None
    margin_mm: float = MARGIN_MM


class DetectRun(WorkerRun):
    """Searches a CT; ``RunEnd.shown`` is a ``ShownFindings`` in new nodes."""

    def start(self, request: DetectRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            The volume, the region or the model cannot be used; nothing was started and nothing changed.
        """
        self._check_idle()
        package = find_model(request.settings.model)
        volumes = [volume_from_node(node) for node in request.volume_nodes]
        check_modality(package, volumes, force=request.settings.force)
        match_channels(package, volumes)
        settings = restricted(request.settings, request.region_node, request.margin_mm, volumes[0])
        self._begin(settings, request.volume_nodes, volumes)

    def _prepare(self, result: DetectionResult) -> Steps[Any]:  # type: ignore[override]
        return preparing_findings(result)

    def _show(self, result: DetectionResult, prepared: Any) -> RunEnd:  # type: ignore[override]
        return RunEnd(put_findings(self._scene, result, prepared, self._nodes[0]), result.record.warnings)
