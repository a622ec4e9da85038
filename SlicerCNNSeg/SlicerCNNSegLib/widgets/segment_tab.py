"""The tab *Segment*: a model, a region and a segmentation to fill."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..engine.settings import SegmentationSettings
from ..scene.surfaces import is_in_3d, is_quick_in_3d, show_in_3d
from .segment_run import SegmentRequest, ShownSegmentation
from .task_tab import StartRun, TaskTab
from .worker_run import RunEnd


class SegmentTab(TaskTab):
    """Volumes to a segmentation."""

    task = "segmentation"
    model_parameter = "model"
    region_parameters = ("region", "regionMargin")

    def __init__(self, ui, start_run: StartRun) -> None:
        super().__init__(ui, ui.modelComboBox, ui.modelInfoLabel, start_run)
        self._late: ShownSegmentation | None = None
        ui.show3DCheckBox.toggled.connect(self._show_in_3d)

    def connect_parameters(self, parameters) -> None:
        """Keep what is chosen here from now on; and what came while another module was open."""
        super().connect_parameters(parameters)
        if self._late is not None:
            self._keep(self._late)

    def show_parameters(self) -> None:
        """Show model and region."""
        super().show_parameters()
        self._show_margin(self.ui.regionMarginLabel, self.ui.regionMarginSpinBox)

    def request(self, volume_nodes) -> SegmentRequest:
        """What to segment."""
        parameters = self._parameters
        return SegmentRequest(
            volume_nodes,
            self._settings(SegmentationSettings),
            *self.region,
            parameters.outputSegmentation,
            # a segmentation that is replaced takes its table along; a new one gets a new table
            parameters.volumesTable if parameters.outputSegmentation else None,
        )

    def show_result(self, end: RunEnd, seconds: int) -> str:
        """Show the volumes; says what was made."""
        node = end.shown.segmentation_node
        if is_quick_in_3d(node):
            show_in_3d(node, True)
        self._keep(end.shown)
        found = node.GetSegmentation().GetNumberOfSegments()
        text = _("Done in {seconds} s: {name}.") if found else _("Nothing was found in {seconds} s: {name} is empty.")
        return text.format(seconds=seconds, name=node.GetName())

    def show_results(self, *, current: bool) -> None:
        """Show the table of volumes of the result that the parameter node names, or hide it."""
        node, table = self._result
        self.ui.resultsCollapsibleButton.visible = current and table is not None
        if table is not self.ui.volumesTableView.mrmlTableNode():
            self.ui.volumesTableView.setMRMLTableNode(table)
        self.ui.show3DCheckBox.checked = node is not None and is_in_3d(node)

    def forget_results(self) -> None:
        """Hide the table of volumes; the segmentation stays in the scene."""
        self._late = None
        if self._parameters is not None:
            self._parameters.resultSegmentation = None
        self.show_results(current=False)

    @property
    def _result(self):
        """The segmentation that was made and the table of its volumes; None twice without both."""
        if self._parameters is None:
            return None, None
        node, table = self._parameters.resultSegmentation, self._parameters.volumesTable
        return (node, table) if node is not None and table is not None else (None, None)

    def _keep(self, shown: ShownSegmentation) -> None:
        """Name a result in the parameter node, as soon as there is one."""
        self._late = shown if self._parameters is None else None
        if self._parameters is not None:
            self._parameters.volumesTable = shown.table_node
            self._parameters.resultSegmentation = shown.segmentation_node

    def _show_in_3d(self, shown: bool) -> None:
        node, _table = self._result
        if node is None or shown == is_in_3d(node):
            return
        with slicer.util.tryWithErrorDisplay(_("The surfaces could not be made."), waitCursor=True):
            show_in_3d(node, shown)
