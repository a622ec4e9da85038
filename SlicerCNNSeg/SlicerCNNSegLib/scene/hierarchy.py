"""The subject hierarchy: patient, study, series. Slicer files DICOM facts there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer

# The values of vtkMRMLSubjectHierarchyConstants, which DICOM loading in Slicer uses.
MODALITY = "DICOM.Modality"
DICOM_UID = "DICOM"
STUDY = "Study"
STUDY_DATE = "DICOM.StudyDate"


def modality_of(node: slicer.vtkMRMLNode) -> str:
    """DICOM modality from the node's place in the subject hierarchy, else from its own attribute, else ""."""
    hierarchy, item = item_of(node)
    filed = hierarchy.GetItemAttribute(item, MODALITY) if item else ""
    return filed or node.GetAttribute(MODALITY) or ""


def identifiers_of(node: slicer.vtkMRMLNode) -> dict[str, str]:
    """Node id and name, and by their DICOM keywords the UIDs of the series and the study, where known."""
    found = {"node_id": node.GetID() or "", "node_name": node.GetName() or ""}
    hierarchy, item = item_of(node)
    if item:
        study = hierarchy.GetItemAncestorAtLevel(item, STUDY)
        found["SeriesInstanceUID"] = hierarchy.GetItemUID(item, DICOM_UID)
        found["StudyInstanceUID"] = hierarchy.GetItemUID(study, DICOM_UID) if study else ""
    return {key: value for key, value in found.items() if value}


def place_beside(node: slicer.vtkMRMLNode, reference: slicer.vtkMRMLNode) -> None:
    """Put the node under the same study (or folder) as the reference; nothing where that has no place."""
    hierarchy, item = item_of(reference)
    if item:
        # CreateItem gives the item that the node already has, moved to this parent.
        hierarchy.CreateItem(hierarchy.GetItemParent(item), node)


def item_of(node: slicer.vtkMRMLNode) -> tuple[slicer.vtkMRMLSubjectHierarchyNode, int]:
    """The scene's hierarchy and the node's item in it; (None, 0) for none, and none is made by asking."""
    scene = node.GetScene()
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") if scene else None
    return hierarchy, int(hierarchy.GetItemByDataNode(node)) if hierarchy else 0


def study_date_of(node: slicer.vtkMRMLNode) -> str:
    """Date of the study that the node is filed under, as ``2025-01-31``; "" where none is known."""
    hierarchy, item = item_of(node)
    study = hierarchy.GetItemAncestorAtLevel(item, STUDY) if item else 0
    digits = hierarchy.GetItemAttribute(study, STUDY_DATE) if study else ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 and digits.isdigit() else ""
