"""The rows of a table of findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import vtk

from ..engine.findings.category import TITLE
from ..engine.findings.finding import Finding
from ..engine.findings.growth import GONE, GROWN
from ..engine.findings.match import Match
from ..engine.wording import probability_in_words

if TYPE_CHECKING:
    import slicer

ID, STATUS, SCORE, LOCATION, KIND = "Finding", "Review", "Score", "Location", "Kind"
MEAN, VOLUME, CATEGORY, CHANGE, R, A, S = "Mean (mm)", "Volume (mm3)", "Category", "Change", "R", "A", "S"
NUMBERS = (R, A, S)
"""The columns that are for programs; all others are for reading."""

UNMEASURED = "\N{EN DASH}"
DESCRIPTIONS = {
    ID: "The finding's id; its ROI and its segment carry it too",
    STATUS: "What its reviewer says: accepted, rejected or undecided",
    SCORE: "How sure the detector is, 0 to 1",
    CHANGE: "Against an earlier date: new, grown, shrunk, stable or gone, with the change in volume",
    MEAN: "Mean of the two axial diameters in mm; a dash where it was not measured",
    VOLUME: "Volume in mm3; a dash where it was not measured",
    LOCATION: "Which lung, which third",
    KIND: "Solid, part-solid or non-solid; a dash where it was not measured",
    CATEGORY: TITLE,
    R: "The middle of its box, RAS mm of the image that was searched",
    A: "The middle of its box, RAS mm of the image that was searched",
    S: "The middle of its box, RAS mm of the image that was searched",
}


def fill_table(
    node: slicer.vtkMRMLTableNode,
    findings: Sequence[Finding],
    matches: Sequence[Match] = (),
    gone: Sequence[Finding] = (),
) -> None:
    """Replace the table's rows by these; numbers are rounded for reading.

    Parameters
    ----------
    matches:
        What became of the findings since an earlier date.
    gone:
        Findings of the earlier date that are no more: rows at the end, of which nobody says anything.
    """
    changes = {match.later: change_in_words(match) for match in matches if match.later is not None}
    columns = {name: vtk.vtkDoubleArray() if name in NUMBERS else vtk.vtkStringArray() for name in DESCRIPTIONS}
    for one in findings:
        _add_row(columns, one, changes.get(one.id, ""))
    for one in gone:
        _add_row(columns, one, GONE)
    node.RemoveAllColumns()
    for name, column in columns.items():
        column.SetName(name)
        node.AddColumn(column)
        node.SetColumnDescription(name, DESCRIPTIONS[name])
    for name, unit in ((MEAN, "mm"), (VOLUME, "mm3")):
        node.SetColumnUnitLabel(name, unit)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)


def change_in_words(match: Match) -> str:
    """What became of a finding: ``new``, ``stable``, ``grown +40 %, doubles in 210 days``."""
    if match.growth is None:
        return match.verdict or "same, not measured"
    words = f"{match.verdict} {match.growth.change:+z.0%}"
    days = match.growth.doubling_days
    return f"{words}, doubles in {days:.0f} days" if match.verdict == GROWN and math.isfinite(days) else words


def _add_row(columns: Mapping[str, vtk.vtkAbstractArray], one: Finding, change: str) -> None:
    measured = one.measurements
    right, anterior, superior = (round(mm, 1) for mm in one.center_ras_mm)
    row = {
        ID: one.id,
        STATUS: "" if change == GONE else one.status,
        SCORE: probability_in_words(one.score),
        MEAN: f"{measured.mean_diameter_mm:.1f}" if measured else UNMEASURED,
        VOLUME: f"{measured.volume_mm3:.0f}" if measured else UNMEASURED,
        CHANGE: change,
        LOCATION: one.location,
        KIND: measured.kind if measured else UNMEASURED,
        CATEGORY: one.category,
        R: right,
        A: anterior,
        S: superior,
    }
    for name, cell in row.items():
        columns[name].InsertNextValue(cell)
