"""Findings under review: threshold, table, and what the reviewer says by button or key."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..engine.findings.finding import ACCEPTED, REJECTED, UNDECIDED
from ..scene.finding_table import CHANGE, A, R, S
from ..scene.findings import findings_of, position_of, review, set_threshold, threshold_of
from ..scene.follow_ups import matches_of

KEYS = {ACCEPTED: "A", REJECTED: "R", UNDECIDED: "U"}
"""What a key says of the selected finding, while the table has the focus."""


class FindingsReview:
    """Shows a table of findings; a change of the table by anybody else is shown too.

    Parameters
    ----------
    ui:
        The form's widgets.
    """

    def __init__(self, ui) -> None:
        self.ui = ui
        self._table = self._observer = None
        self._showing = False
        buttons = {ACCEPTED: ui.acceptButton, REJECTED: ui.rejectButton, UNDECIDED: ui.undecidedButton}
        self._shortcuts = []
        for status, button in buttons.items():
            says = self._saying(status)
            button.clicked.connect(says)
            shortcut = qt.QShortcut(qt.QKeySequence(KEYS[status]), ui.findingsTableView)
            shortcut.context = qt.Qt.WidgetShortcut
            shortcut.activated.connect(says)
            self._shortcuts.append(shortcut)
        ui.thresholdSlider.valueChanged.connect(self._threshold_chosen)
        ui.findingsTableView.selectionModel().currentChanged.connect(self._row_chosen)

    def show(self, table: slicer.vtkMRMLTableNode | None) -> None:
        """Show this table from now on; None for none."""
        if table is self._table:
            return
        if self._table is not None:
            self._table.RemoveObserver(self._observer)
        self._table = table
        self._showing = True
        self.ui.findingsTableView.setMRMLTableNode(table)
        self._showing = False
        if table is not None:
            self._observer = table.AddObserver(vtk.vtkCommand.ModifiedEvent, self._table_changed)
            self._table_changed()

    @property
    def selected(self) -> str:
        """Id of the selected finding; "" for none."""
        index = self.ui.findingsTableView.currentIndex()
        return index.sibling(index.row(), 0).data() if index.isValid() else ""

    def _table_changed(self, _caller=None, _event=None) -> None:
        findings = findings_of(self._table)
        threshold = threshold_of(self._table)
        listed = [one for one in findings if one.score >= threshold]
        counts = [f"{sum(one.status == status for one in listed)} {status}" for status in (ACCEPTED, REJECTED)]
        text = _("{listed} of {all} candidates shown; {counts}").format(
            listed=len(listed), all=len(findings), counts=", ".join(counts)
        )
        self.ui.findingsCountLabel.text = text
        self._showing = True
        self.ui.thresholdSlider.value = threshold
        self._showing = False
        view = self.ui.findingsTableView
        for name in (R, A, S):
            view.setColumnHidden(self._table.GetColumnIndex(name), True)
        view.setColumnHidden(self._table.GetColumnIndex(CHANGE), not matches_of(self._table))
        view.resizeColumnsToContents()

    def _threshold_chosen(self, value: float) -> None:
        if self._table is not None and not self._showing:
            kept = self.selected
            set_threshold(self._table, min(max(value, 0.0), 1.0))
            self._select(kept)

    def _row_chosen(self, _current=None, _previous=None) -> None:
        """All slice views show the selected finding."""
        position = position_of(self._table, self.selected) if self._table is not None and not self._showing else None
        if position is not None:
            mode = slicer.vtkMRMLSliceNode.CenteredJumpSlice
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *position, mode)

    def _saying(self, status: str) -> Callable[..., None]:
        return lambda *_ignored: self._say(status)

    def _say(self, status: str) -> None:
        """Keep what the reviewer says of the selected finding, and go on to the next one."""
        chosen, view = self.selected, self.ui.findingsTableView
        if self._table is None or chosen not in [one.id for one in findings_of(self._table)]:
            return
        row = view.currentIndex().row()
        review(self._table, chosen, status)
        view.selectRow(min(row + 1, view.model().rowCount() - 1))

    def _select(self, finding_id: str) -> None:
        view = self.ui.findingsTableView
        rows = [n for n in range(view.model().rowCount()) if view.model().index(n, 0).data() == finding_id]
        if rows:
            view.selectRow(rows[0])
