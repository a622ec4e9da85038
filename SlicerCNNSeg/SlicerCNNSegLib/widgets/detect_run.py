"""One press on Apply: from a CT to findings, through the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from ..engine.catalogue import find_model
from ..engine.detection.result import DetectionResult
from ..engine.inputs import check_modality, match_channels
from ..engine.settings import DetectionSettings
from ..engine.steps import Steps
from ..scene.findings import preparing_findings, put_findings
from ..scene.volumes import volume_from_node
from .worker_run import RunEnd, WorkerRun


@dataclass(frozen=True)
class DetectRequest:
    """What to search: the CT, and how."""

    volume_nodes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    settings: DetectionSettings


class DetectRun(WorkerRun):
    """Searches a CT; ``RunEnd.shown`` is a ``ShownFindings`` in new nodes."""

    def start(self, request: DetectRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            The volume or the model cannot be used; nothing was started and nothing changed.
        """
        self._check_idle()
        package = find_model(request.settings.model)
        volumes = [volume_from_node(node) for node in request.volume_nodes]
        check_modality(package, volumes, force=request.settings.force)
        match_channels(package, volumes)
        self._begin(request.settings, request.volume_nodes, volumes)

    def _prepare(self, result: DetectionResult) -> Steps[Any]:  # type: ignore[override]
        return preparing_findings(result)

    def _show(self, result: DetectionResult, prepared: Any) -> RunEnd:  # type: ignore[override]
        return RunEnd(put_findings(self._scene, result, prepared, self._nodes[0]), result.record.warnings)
