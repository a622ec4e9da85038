"""The run record, kept with the node that shows the result (and saved with the scene)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..engine.result import RunRecord

if TYPE_CHECKING:
    import slicer

RUN_RECORD = "CNNSeg.RunRecord"
MODEL_TAG = "CNNSeg.Model"
CHECKSUM_DIGITS = 12


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


def tag_segment(segment: slicer.vtkSegment, record: RunRecord) -> None:
    """Keep which model filled a segment in its tag ``CNNSeg.Model``: id, version, begin of the checksum."""
    text = f"{record.model_id} {record.model_version} {record.model_sha256[:CHECKSUM_DIGITS]}"
    segment.SetTag(MODEL_TAG, text.translate({ord(sign): "_" for sign in ":|"}))  # Slicer's files part tags by these
