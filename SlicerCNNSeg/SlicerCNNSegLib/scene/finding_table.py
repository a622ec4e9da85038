"""The rows of a table of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import vtk

from ..engine.findings.category import TITLE
from ..engine.findings.finding import Finding

if TYPE_CHECKING:
    import slicer

ID, STATUS, SCORE, LOCATION, KIND = "Finding", "Review", "Score", "Location", "Kind"
MEAN, VOLUME, CATEGORY, R, A, S = "Mean diameter (mm)", "Volume (mm3)", "Category", "R", "A", "S"
TEXTS = (ID, STATUS, LOCATION, KIND, CATEGORY)
DESCRIPTIONS = {
    ID: "The finding's id; its ROI and its segment carry it too",
    STATUS: "What its reviewer says: accepted, rejected or undecided",
    SCORE: "How sure the detector is, 0 to 1",
    LOCATION: "Which lung, which third",
    KIND: "Solid, part-solid or non-solid; empty where it was not measured",
    MEAN: "Mean of the two axial diameters in mm; not a number where it was not measured",
    VOLUME: "Volume in mm3; not a number where it was not measured",
    CATEGORY: TITLE,
    R: "The middle of its box, RAS mm of the image that was searched",
    A: "The middle of its box, RAS mm of the image that was searched",
    S: "The middle of its box, RAS mm of the image that was searched",
}


def fill_table(node: slicer.vtkMRMLTableNode, findings: Sequence[Finding]) -> None:
    """Replace the table's rows by these."""
    columns = {name: vtk.vtkStringArray() if name in TEXTS else vtk.vtkDoubleArray() for name in DESCRIPTIONS}
    for one in findings:
        measured = one.measurements
        right, anterior, superior = one.center_ras_mm
        row = {
            ID: one.id,
            STATUS: one.status,
            SCORE: one.score,
            LOCATION: one.location,
            KIND: measured.kind if measured else "",
            MEAN: measured.mean_diameter_mm if measured else np.nan,
            VOLUME: measured.volume_mm3 if measured else np.nan,
            CATEGORY: one.category,
            R: right,
            A: anterior,
            S: superior,
        }
        for name, cell in row.items():
            columns[name].InsertNextValue(cell)
    node.RemoveAllColumns()
    for name, column in columns.items():
        column.SetName(name)
        node.AddColumn(column)
        node.SetColumnDescription(name, DESCRIPTIONS[name])
    for name, unit in ((MEAN, "mm"), (VOLUME, "mm3")):
        node.SetColumnUnitLabel(name, unit)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
