"""Which segment of a segmentation a model's structure belongs to: by terminology, by name, or by asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..engine.labels import Label
from .labelmaps import segment_labels

if TYPE_CHECKING:
    import slicer

UNSPECIFIC_TYPE = "85756007"
"""SNOMED CT code of *Tissue*: Slicer gives it to every new segment, so it says nothing about the structure."""


@dataclass(frozen=True)
class Match:
    """A structure of a model and the segment that it belongs to.

    Parameters
    ----------
    label:
        The structure.
    segment_id:
        The segment; "" for a new one.
    is_sure:
        Whether nobody has to be asked.
    """

    label: Label
    segment_id: str = ""
    is_sure: bool = True


def match_segments(labels: Sequence[Label], segmentation: slicer.vtkSegmentation) -> tuple[Match, ...]:
    """The segments that the labels belong to.

    A segment belongs to a label that has the same codes (type, modifier, region, side), where these say which structure
    it is; without such a segment to one that has the same name, whatever its case and spacing. Of several segments with
    the same codes the one with the label's name is taken. A label with several such segments, and one whose segment
    another label lays claim to as well, is not sure.

    Returns
    -------
    tuple of Match
        One for each label, in their order.
    """
    ids = tuple(segmentation.GetSegmentIDs())
    segments = dict(zip(ids, segment_labels(segmentation), strict=True)) if ids else {}
    candidates = [_candidates(label, segments) for label in labels]
    matches = [
        Match(label, found[0] if found else "", len(found) <= 1)
        for label, found in zip(labels, candidates, strict=True)
    ]
    claims = Counter(segment_id for found in candidates for segment_id in found)
    return tuple(
        replace(match, is_sure=False) if any(claims[segment_id] > 1 for segment_id in found) else match
        for match, found in zip(matches, candidates, strict=True)
    )


def _candidates(label: Label, segments: dict[str, Label]) -> tuple[str, ...]:
    coded = tuple(key for key, segment in segments.items() if _codes(label) and _codes(segment) == _codes(label))
    named = tuple(key for key, segment in segments.items() if _plain(segment.name) == _plain(label.name))
    return tuple(key for key in coded if key in named) or coded or named


def _codes(label: Label) -> tuple[str, ...]:
    """What the codes say in a form to compare, without meanings; empty where they name no structure."""
    if label.type is None or label.type.value == UNSPECIFIC_TYPE:
        return ()
    parts = (label.type, label.modifier, label.region, label.region_modifier)
    return tuple("" if part is None else f"{part.scheme}^{part.value}" for part in parts)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
