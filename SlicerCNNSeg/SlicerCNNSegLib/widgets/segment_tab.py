"""The tab *Segment*: a model, a region and a segmentation to fill."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ..engine.settings import SegmentationSettings
from ..scene.surfaces import is_in_3d, is_quick_in_3d, show_in_3d
from .segment_run import SegmentRequest
from .task_tab import StartRun, TaskTab
from .worker_run import RunEnd


class SegmentTab(TaskTab):
    """Volumes to a segmentation."""

    task = "segmentation"
    model_parameter = "model"

    def __init__(self, ui, start_run: StartRun) -> None:
        super().__init__(ui, ui.modelComboBox, ui.modelInfoLabel, start_run)
        self._shown = False
        self._segmentation: Any = None
        ui.show3DCheckBox.toggled.connect(self._show_in_3d)

    def show_parameters(self) -> None:
        """Show model and region."""
        super().show_parameters()
        self._show_margin(self.ui.regionMarginLabel, self.ui.regionMarginSpinBox)

    @property
    def region(self):
        """What the parameter node restricts the run to."""
        return self._parameters.region, self._parameters.regionMargin

    def request(self, volume_nodes) -> SegmentRequest:
        """What to segment."""
        parameters = self._parameters
        return SegmentRequest(
            volume_nodes,
            SegmentationSettings(
                model=parameters.model,
                device=parameters.device,
                precision=parameters.precision,
                mirror=parameters.mirror,
                force=parameters.force,
            ),
            *self.region,
            parameters.outputSegmentation,
            # a segmentation that is replaced takes its table along; a new one gets a new table
            parameters.volumesTable if parameters.outputSegmentation else None,
        )

    def show_result(self, end: RunEnd, seconds: int) -> str:
        """Show the volumes; says what was made."""
        self._shown = True
        self._segmentation = node = end.shown.segmentation_node
        if is_quick_in_3d(node):
            show_in_3d(node, True)
        self.ui.show3DCheckBox.checked = is_in_3d(node)
        if self._parameters is not None:
            self._parameters.volumesTable = end.shown.table_node
        self.ui.volumesTableView.setMRMLTableNode(end.shown.table_node)
        found = node.GetSegmentation().GetNumberOfSegments()
        text = _("Done in {seconds} s: {name}.") if found else _("Nothing was found in {seconds} s: {name} is empty.")
        return text.format(seconds=seconds, name=node.GetName())

    def show_results(self, *, current: bool) -> None:
        """Show the table of volumes, or hide it."""
        self.ui.resultsCollapsibleButton.visible = current and self._shown

    def forget_results(self) -> None:
        """Hide the table of volumes."""
        self._shown, self._segmentation = False, None
        self.ui.volumesTableView.setMRMLTableNode(None)

    def _show_in_3d(self, shown: bool) -> None:
        node = self._segmentation
        if node is None or node.GetScene() is None or shown == is_in_3d(node):
            return
        with slicer.util.tryWithErrorDisplay(_("The surfaces could not be made."), waitCursor=True):
            show_in_3d(node, shown)
