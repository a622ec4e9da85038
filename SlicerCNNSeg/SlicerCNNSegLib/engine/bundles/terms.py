"""Colours and codes for the names that bundles give their structures.

``terms.json`` holds names in lower case with their SNOMED CT codes as DICOM lists them (a test holds them against
pydicom's copy). A name that is not there gets a colour and no code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..files.segments import generic_label
from ..labels import SIDES, Code, Label

TERMS = Path(__file__).with_name("terms.json")
PAIRED_BY_NAME = ("middle lobe",)
"""Structures of one side only, whose code says the side already."""


def label_of(value: int, name: str) -> Label:
    """The label of a structure that a bundle names, for example ``kidney_right`` or ``Right Kidney``."""
    words = re.sub(r"[\W_]+", " ", name.lower()).split()
    term, side = _terms().get(" ".join(words)), ""
    if term is None:
        side = next((word for word in words if word in SIDES), "")
        term = _terms().get(" ".join(word for word in words if word != side))
    if term is None:
        return Label(value, name, generic_label(value).color)
    color, code = term
    sided = bool(side) and not any(part in " ".join(words) for part in PAIRED_BY_NAME)
    return Label(value, name, color, type=code, modifier=SIDES[side] if sided else None)


@cache
def _terms() -> Mapping[str, tuple[tuple[float, float, float], Code]]:
    terms = json.loads(TERMS.read_text(encoding="utf-8"))["terms"]
    return {name: (tuple(term["color"]), Code.from_json(term["type"])) for term in terms for name in term["names"]}
