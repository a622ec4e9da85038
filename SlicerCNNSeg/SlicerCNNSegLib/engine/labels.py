"""What a label value means: its name, colour and code.

Codes are written the way Slicer writes them (``Segment.SetTerminology``, the ``TerminologyEntry``
tag of ``.seg.nrrd``): ``context~category~type~modifier~anatomicContext~region~regionModifier``,
each code ``scheme^value^meaning``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

TERMINOLOGY_CONTEXT = "Segmentation category and type - DICOM master list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Code:
    """One coded concept, for example ``Code("SCT", "5366008", "Hippocampus")``."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"

    @classmethod
    def from_json(cls, triple: Sequence[str]) -> Code:
        """From ``[scheme, value, meaning]``."""
        scheme, value, meaning = triple
        return cls(str(scheme), str(value), str(meaning))

    def to_json(self) -> list[str]:
        """As ``[scheme, value, meaning]``."""
        return [self.scheme, self.value, self.meaning]


ANATOMICAL_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
SIDES = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}


@dataclass(frozen=True)
class Label:
    """One structure in a labelmap.

    Parameters
    ----------
    value:
        Voxel value, 1 or more (0 is background).
    name:
        For people, for example ``Anterior hippocampus``.
    color:
        Red, green, blue in 0..1.
    category, type, modifier:
        Codes of the segmented property (DICOM SEG); ``type`` None when nobody coded it.
    region, region_modifier:
        Codes of the anatomic region and its side.
    """

    value: int
    name: str
    color: tuple[float, float, float]
    category: Code = ANATOMICAL_STRUCTURE
    type: Code | None = None
    modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None

    @property
    def terminology(self) -> str:
        """Slicer's terminology string, or "" when the label has no type code."""
        if self.type is None:
            return ""
        no_code = "^^"
        region = self.region or ""
        return "~".join(
            [
                TERMINOLOGY_CONTEXT,
                str(self.category),
                str(self.type),
                str(self.modifier or no_code),
                ANATOMIC_CONTEXT,
                str(region or no_code),
                str(self.region_modifier or no_code),
            ]
        )

    def with_terminology(self, text: str) -> Label:
        """The same label with the codes of Slicer's terminology string; what is not coded there is None.

        A text that has not that form (Slicer gives "" for a segment without terminology) codes nothing.
        """
        codes = [part.split("^") for part in text.split("~")]
        if len(codes) != 7 or any(len(code) != 3 for n, code in enumerate(codes) if n not in (0, 4)):
            return replace(self, type=None, modifier=None, region=None, region_modifier=None)
        category, type_, modifier, region, region_modifier = (
            Code(*codes[n]) if codes[n][1] else None for n in (1, 2, 3, 5, 6)
        )
        return replace(
            self,
            category=category or self.category,
            type=type_,
            modifier=modifier,
            region=region,
            region_modifier=region_modifier,
        )

    def on_side(self, side: str, value: int) -> Label:
        """The same structure inside the region named ``side``, with another value.

        ``left`` and ``right`` are coded as the region's modifier; other names only go into the name.
        """
        name = f"{side.capitalize()} {self.name[0].lower()}{self.name[1:]}"
        modifier = SIDES.get(side.lower())
        if modifier is None or self.type is None:
            return replace(self, value=value, name=name)
        return replace(self, value=value, name=name, region=self.region or self.type, region_modifier=modifier)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Label:
        """From the plain form in ``metadata.json``: value, name, color, and codes as triples."""
        codes = {
            key: Code.from_json(data[key])  # type: ignore[arg-type]
            for key in ("category", "type", "modifier", "region", "region_modifier")
            if data.get(key)
        }
        red, green, blue = (float(c) for c in data["color"])  # type: ignore[attr-defined]
        return cls(int(data["value"]), str(data["name"]), (red, green, blue), **codes)  # type: ignore[call-overload]

    def to_json(self) -> dict[str, object]:
        """The plain form, as in ``metadata.json``."""
        plain: dict[str, object] = {"value": self.value, "name": self.name, "color": list(self.color)}
        for key in ("category", "type", "modifier", "region", "region_modifier"):
            code = getattr(self, key)
            if code is not None:
                plain[key] = code.to_json()
        return plain


@dataclass(frozen=True)
class ClassLabel:
    """One class of a classifier: its name, and its code where somebody coded it."""

    name: str
    code: Code | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> ClassLabel:
        """From the plain form in ``metadata.json``: name, and code as a triple."""
        code = data.get("code")
        return cls(str(data["name"]), Code.from_json(code) if code else None)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, object]:
        """The plain form, as in ``metadata.json``."""
        return {"name": self.name, **({"code": self.code.to_json()} if self.code else {})}
