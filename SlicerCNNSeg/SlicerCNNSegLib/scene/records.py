"""The run record, kept with the node that shows the result (and saved with the scene)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..engine.result import RunRecord

if TYPE_CHECKING:
    import slicer

RUN_RECORD = "CNNSeg.RunRecord"


def set_record(node: slicer.vtkMRMLNode, record: RunRecord) -> None:
    """Keep the record as JSON in the node's attribute ``CNNSeg.RunRecord``."""
    node.SetAttribute(RUN_RECORD, json.dumps(record.to_json()))


def record_of(node: slicer.vtkMRMLNode) -> dict[str, Any] | None:
    """The record that the node carries, in plain form; None where it carries none."""
    text = node.GetAttribute(RUN_RECORD)
    return json.loads(text) if text else None


def remove_record(node: slicer.vtkMRMLNode) -> None:
    """Take the record away, with the result that it belonged to."""
    node.RemoveAttribute(RUN_RECORD)
