"""The tab *Detect & follow up*: a model, findings under review, an earlier date, and files."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..engine.findings.review import Comparison
from ..engine.settings import DetectionSettings
from ..scene.findings import FINDINGS, ShownFindings, is_table_of_findings, listed_findings, set_shown
from .compare_run import in_words
from .detect_run import DetectRequest
from .export_run import ExportRequest
from .findings_review import FindingsReview
from .follow_up_form import FollowUpForm
from .task_tab import StartRun, TaskTab
from .worker_run import RunEnd


class DetectTab(TaskTab):
    """A CT to findings."""

    task = "detection"
    model_parameter = "detector"
    region_parameters = ("detectRegion", "detectMargin")

    def __init__(self, ui, start_run: StartRun) -> None:
        super().__init__(ui, ui.detectorComboBox, ui.detectorInfoLabel, start_run)
        for selector in (ui.findingsSelector, ui.earlierFindingsSelector):
            selector.addAttribute("vtkMRMLTableNode", FINDINGS)
        self.review = FindingsReview(ui)
        self._follow_up = FollowUpForm(ui)
        self._table = None
        ui.compareButton.clicked.connect(self._compare)
        ui.exportButton.clicked.connect(self._export)

    def connect_parameters(self, parameters) -> None:
        """Keep what is chosen here from now on."""
        super().connect_parameters(parameters)
        self._follow_up.connect_parameters(parameters)

    def show_parameters(self) -> None:
        """Show model and region."""
        super().show_parameters()
        self._show_margin(self.ui.detectMarginLabel, self.ui.detectMarginSpinBox)

    def request(self, volume_nodes) -> DetectRequest:
        """What to search."""
        return DetectRequest(volume_nodes, self._settings(DetectionSettings), *self.region)

    def show_result(self, end: RunEnd, seconds: int) -> str:
        """Show findings, or what was made of them; says what came out."""
        if isinstance(end.shown, ShownFindings):
            if self._parameters is not None:
                self._parameters.findingsTable = end.shown.table
            count = len(listed_findings(end.shown.table))
            return _("Done in {seconds} s: {count} findings.").format(seconds=seconds, count=count)
        if isinstance(end.shown, Comparison):
            return _("Compared in {seconds} s: {what}.").format(seconds=seconds, what=in_words(end.shown))
        names = ", ".join(path.name for path in end.shown.files)
        return _("Written to {folder}: {names}.").format(folder=end.shown.folder, names=names)

    def show_results(self, *, current: bool) -> None:
        """Show the table of findings that the parameter node names, or hide it."""
        table = self._parameters.findingsTable if self._parameters is not None else None
        table = table if is_table_of_findings(table) else None
        if table is not self._table:
            if is_table_of_findings(self._table) and self._table.GetScene() is not None:
                set_shown(self._table, False)
            if table is not None:
                set_shown(table, True)
            self._table = table
        self.review.show(table)
        self.ui.findingsCollapsibleButton.visible = current and table is not None
        if self._parameters is not None:
            self._follow_up.show()

    def forget_results(self) -> None:
        """Hide the findings; they stay in the scene, and may be chosen again."""
        if self._parameters is not None:
            self._parameters.findingsTable = None
        self.show_results(current=False)

    def show_running(self, running: bool) -> None:
        """Nothing is compared or written while a run is under way."""
        if running:
            self.ui.compareButton.enabled = False
        self.ui.exportButton.enabled = not running

    def _compare(self, _checked=None) -> None:
        self._start_run(self._follow_up.request)

    def _export(self, _checked=None) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder for table, JSON and page of the findings"))
        if not folder:
            return
        request = ExportRequest(self._parameters.findingsTable, Path(folder))
        there = [path.name for path in request.files if path.exists()]
        question = _("{names} exist already. Replace them?").format(names=", ".join(there))
        if not there or slicer.util.confirmYesNoDisplay(question, _("CNNSeg")):
            self._start_run(lambda: request)
