"""One press on Apply: from a CT to findings, through the worker."""

from __future__ import annotations

from typing import Any

from ..engine.detection.result import DetectionResult
from ..engine.steps import Steps
from ..scene.findings import preparing_findings, put_findings
from .restricted_run import RestrictedRequest, RestrictedRun
from .worker_run import RunEnd


class DetectRequest(RestrictedRequest):
    """What to search: the CT, and by which ``DetectionSettings``."""


class DetectRun(RestrictedRun):
    """Searches a CT; ``RunEnd.shown`` is a ``ShownFindings`` in new nodes."""

    def start(self, request: DetectRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            The volume, the region or the model cannot be used; nothing was started and nothing changed.
        """
        self._begin_within(request)

    def _prepare(self, result: DetectionResult) -> Steps[Any]:  # type: ignore[override]
        return preparing_findings(result)

    def _show(self, result: DetectionResult, prepared: Any) -> RunEnd:  # type: ignore[override]
        return RunEnd(put_findings(self._scene, result, prepared, self._nodes[0]), result.record.warnings)
