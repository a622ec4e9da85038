"""The form of a follow-up: the findings of an earlier date, and both dates."""

from __future__ import annotations

from datetime import date
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.findings import VOLUME_ROLE
from ..scene.hierarchy import study_date_of
from .compare_run import CompareRequest


class FollowUpForm:
    """Shows and keeps both dates; those that DICOM tells are filled in.

    Parameters
    ----------
    ui:
        The form's widgets.
    """

    def __init__(self, ui) -> None:
        self.ui = ui
        self._parameters: Any = None
        self._dated: dict[str, Any] = {}
        ui.earlierDateEdit.dateChanged.connect(lambda *_ignored: self._keep("earlierDate", ui.earlierDateEdit))
        ui.laterDateEdit.dateChanged.connect(lambda *_ignored: self._keep("laterDate", ui.laterDateEdit))

    def connect_parameters(self, parameters: Any) -> None:
        """Keep the dates in this parameter node from now on; None for none."""
        self._parameters = parameters
        self._dated.clear()

    def show(self) -> None:
        """Show the dates, and what is missing for a comparison."""
        parameters = self._parameters
        self._date_by_dicom("earlierDate", parameters.earlierFindings)
        self._date_by_dicom("laterDate", parameters.findingsTable)
        for name, edit in (("earlierDate", self.ui.earlierDateEdit), ("laterDate", self.ui.laterDateEdit)):
            text = getattr(parameters, name)
            shown = qt.QDate.fromString(text, qt.Qt.ISODate) if text else edit.minimumDate
            if edit.date != shown:
                edit.date = shown
        missing = self.missing()
        self.ui.compareButton.toolTip = missing or _("What is new, gone, grown or stable since the earlier date.")
        self.ui.compareButton.enabled = not missing

    def missing(self) -> str:
        """What must be chosen; "" for nothing."""
        parameters = self._parameters
        if not parameters.earlierFindings:
            return _("Choose the findings of an earlier date; detect in its CT first.")
        if parameters.earlierFindings is parameters.findingsTable:
            return _("Choose the findings of another date.")
        if not parameters.earlierDate or not parameters.laterDate:
            return _("Set both dates.")
        return "" if self._days() > 0 else _("The earlier date must lie before the later one.")

    def request(self) -> CompareRequest:
        """What to compare."""
        return CompareRequest(self._parameters.earlierFindings, self._parameters.findingsTable, self._days())

    def _days(self) -> float:
        later, earlier = (date.fromisoformat(getattr(self._parameters, name)) for name in ("laterDate", "earlierDate"))
        return (later - earlier).days

    def _date_by_dicom(self, name: str, table: slicer.vtkMRMLTableNode | None) -> None:
        """Of other findings than before the date is another one too."""
        before, self._dated[name] = self._dated.get(name, table), table
        volume = table.GetNodeReference(VOLUME_ROLE) if table is not None else None
        told = study_date_of(volume) if volume is not None else ""
        if before is not table or (told and not getattr(self._parameters, name)):
            setattr(self._parameters, name, told)

    def _keep(self, name: str, edit: qt.QDateEdit) -> None:
        if self._parameters is not None:
            text = edit.date.toString(qt.Qt.ISODate) if edit.date != edit.minimumDate else ""
            if getattr(self._parameters, name) != text:
                setattr(self._parameters, name, text)
