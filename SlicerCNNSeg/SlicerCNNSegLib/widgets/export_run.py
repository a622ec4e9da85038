"""Findings as files: a table, JSON, and the page with pictures, which the worker draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import slicer

from ..engine.errors import InputError
from ..engine.files.atomic import replacing
from ..engine.files.paths import safe_name
from ..engine.findings.review import Page, PageSettings
from ..engine.findings.tables import write_findings_csv, write_findings_json
from ..scene.findings import findings_of, listed_findings, threshold_of
from ..scene.follow_ups import matches_of
from ..scene.records import record_of
from .findings_volume import volume_of_findings
from .worker_run import RunEnd, WorkerRun

SUFFIXES = (".findings.csv", ".findings.json", ".findings.html")


@dataclass(frozen=True)
class ExportRequest:
    """A table of findings, and the folder for its files."""

    table: slicer.vtkMRMLTableNode
    folder: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """The table, JSON and the page."""
        name = safe_name(self.table.GetName())
        csv, json, html = (self.folder / f"{name}{suffix}" for suffix in SUFFIXES)
        return csv, json, html


class ExportRun(WorkerRun):
    """Writes the findings from the threshold on; ``RunEnd.shown`` is the ``ExportRequest``."""

    def start(self, request: ExportRequest) -> None:
        """Check the request and let the worker draw the page; the files are written at the end.

        Raises
        ------
        CNNSegError
            The volume is missing, or the folder is none; nothing was started.
        """
        self._check_idle()
        if not request.folder.is_dir():
            raise InputError(f"Expected a folder for the findings, got {request.folder}; choose another.")
        node, volume = volume_of_findings(request.table)
        self._findings = tuple(listed_findings(request.table))
        below = len(findings_of(request.table)) - len(self._findings)
        record = record_of(request.table) or {}
        made = (f"{record['model_id']}, version {record['model_version']}, {record['started']}.",) if record else ()
        shown = f"Shown from a score of {threshold_of(request.table):g} on; {below} candidates have less."
        settings = PageSettings(
            self._findings,
            node.GetName(),
            (*made, shown),
            tuple(record.get("warnings", ())),
            tuple(matches_of(request.table)),
        )
        self._begin(settings, (node,), (volume,))
        self._request = request

    def _show(self, result: Page, _prepared: object) -> RunEnd:  # type: ignore[override]
        csv, json, html = self._request.files
        write_findings_csv(csv, self._findings)
        write_findings_json(json, self._findings)
        with replacing(html) as part:
            part.write_text(result.html, encoding="utf-8")
        return RunEnd(self._request)
