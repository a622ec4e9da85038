"""Where nodes lie in the subject hierarchy: which volumes belong to a truth's study, and to which patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import vtk

from SlicerCNNSegLib.scene.hierarchy import DICOM_UID, item_of

if TYPE_CHECKING:
    import slicer

PATIENT, PATIENT_ID = "Patient", "DICOM.PatientID"
"""The values of vtkMRMLSubjectHierarchyConstants."""


def nodes_beside(node: slicer.vtkMRMLNode) -> list[list[slicer.vtkMRMLNode]]:
    """The nodes in the same study or folder, then those in the folder above, ...; nothing at the top level.

    Each list holds all nodes below its folder, the node itself among them.
    """
    hierarchy, item = item_of(node)
    levels = []
    while item:
        item = hierarchy.GetItemParent(item)
        if not item or item == hierarchy.GetSceneItemID():
            break
        below = vtk.vtkIdList()
        hierarchy.GetItemChildren(item, below, True)
        nodes = (hierarchy.GetItemDataNode(below.GetId(n)) for n in range(below.GetNumberOfIds()))
        levels.append([node for node in nodes if node is not None])
    return levels


class Patients:
    """Names of patients, one for each patient of the subject hierarchy.

    Two items are one patient when DICOM loading gave them the same patient ID; two others of the same
    name are two patients.
    """

    def __init__(self) -> None:
        self._names: dict[str | int, str] = {}

    def name_of(self, node: slicer.vtkMRMLNode) -> str:
        """The patient's name in the subject hierarchy, made unique; empty where no patient is known."""
        hierarchy, item = item_of(node)
        patient = hierarchy.GetItemAncestorAtLevel(item, PATIENT) if item else 0
        if not patient:
            return ""
        known = hierarchy.GetItemUID(patient, DICOM_UID) or hierarchy.GetItemAttribute(patient, PATIENT_ID)
        key = known or int(patient)
        if key not in self._names:
            self._names[key] = unique(hierarchy.GetItemName(patient), self._names.values())
        return self._names[key]


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with ``_2``, ``_3``... behind it where it is taken, whatever its case."""
    others = {other.casefold() for other in taken}
    number, candidate = 1, name
    while candidate.casefold() in others:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
