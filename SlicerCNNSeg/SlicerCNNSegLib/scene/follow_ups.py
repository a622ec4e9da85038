"""What became of the findings of an earlier date, kept with the later date's table as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..engine.findings.finding import Finding
from ..engine.findings.match import Match
from ..engine.findings.review import Comparison

if TYPE_CHECKING:
    import slicer

FOLLOW_UP = "CNNSeg.FollowUp"
EARLIER_ROLE = "CNNSeg.EarlierFindings"
EARLIER = "earlier-"
"""Before the id of a finding that is gone: both dates count from N01."""


def set_comparison(
    table: slicer.vtkMRMLTableNode, earlier: slicer.vtkMRMLTableNode, days: float, comparison: Comparison
) -> None:
    """Keep a comparison with the table of the later date."""
    plain = {
        "days": days,
        "warnings": list(comparison.warnings),
        "matches": [match.to_json() for match in comparison.matches],
        "gone": [replace(one, id=EARLIER + one.id).to_json() for one in comparison.gone],
    }
    table.SetAttribute(FOLLOW_UP, json.dumps(plain))
    table.SetNodeReferenceID(EARLIER_ROLE, earlier.GetID())


def remove_comparison(table: slicer.vtkMRMLTableNode) -> None:
    """Forget it: the findings are others now."""
    table.RemoveAttribute(FOLLOW_UP)
    table.SetNodeReferenceID(EARLIER_ROLE, None)


def matches_of(table: slicer.vtkMRMLTableNode) -> list[Match]:
    """What became of each finding; empty without a comparison."""
    return [Match.from_json(plain) for plain in _kept(table).get("matches", ())]


def gone_findings(table: slicer.vtkMRMLTableNode) -> list[Finding]:
    """The findings of the earlier date that are gone, where they would be; their ids begin with ``EARLIER``."""
    return [Finding.from_json(plain) for plain in _kept(table).get("gone", ())]


def _kept(table: slicer.vtkMRMLTableNode) -> dict[str, Any]:
    text = table.GetAttribute(FOLLOW_UP)
    return json.loads(text) if text else {}
