"""Findings against those of an earlier date, through the worker."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from ..engine.errors import InputError
from ..engine.findings.growth import GONE, NEW
from ..engine.findings.review import Comparison, ComparisonSettings
from ..scene.findings import listed_findings, show_comparison
from .findings_volume import volume_of_findings
from .worker_run import RunEnd, WorkerRun


@dataclass(frozen=True)
class CompareRequest:
    """Two tables of findings, each with its CT in the scene, and the days between them."""

    earlier: slicer.vtkMRMLTableNode
    later: slicer.vtkMRMLTableNode
    days: float


class CompareRun(WorkerRun):
    """Compares two dates; ``RunEnd.shown`` is the ``Comparison``, which the later table shows."""

    def start(self, request: CompareRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            The dates make no sense, or a volume is missing; nothing was started and nothing changed.
        """
        self._check_idle()
        earlier, later = volume_of_findings(request.earlier), volume_of_findings(request.later)
        settings = ComparisonSettings(
            tuple(listed_findings(request.earlier)), tuple(listed_findings(request.later)), request.days
        )
        self._begin(settings, (earlier[0], later[0]), (earlier[1], later[1]))
        self._request = request

    def _show(self, result: Comparison, _prepared: object) -> RunEnd:  # type: ignore[override]
        request = self._request
        if self._still_there(request.later) is None or self._still_there(request.earlier) is None:
            raise InputError("A table of findings was removed from the scene during the run; nothing was added.")
        show_comparison(request.later, request.earlier, request.days, result)
        return RunEnd(result, result.warnings)


def in_words(comparison: Comparison) -> str:
    """How many findings are the same, new and gone."""
    verdicts = [match.verdict for match in comparison.matches]
    counts = {word: verdicts.count(word) for word in (NEW, GONE)}
    same = len(verdicts) - sum(counts.values())
    return f"{same} in both, {counts[NEW]} new, {counts[GONE]} gone"
