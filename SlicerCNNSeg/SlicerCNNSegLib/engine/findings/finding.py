"""What a detection found, one by one: where, how large, how sure, and what its reviewer says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ..errors import InputError
from .boxes import OrientedBox, Triple

ACCEPTED, REJECTED, UNDECIDED = STATUSES = ("accepted", "rejected", "undecided")
"""What a reviewer may say of a finding."""

SOLID, PART_SOLID, NON_SOLID = KINDS = ("solid", "part-solid", "non-solid")
"""What a nodule is made of, in the words of Lung-RADS; non-solid is pure ground glass."""

CATEGORIES = ("2", "3", "4A", "4B")
"""What ``category`` gives to a nodule, from the least to the most suspicious."""

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Ids become names of files, of segments and of anchors on a page."""


@dataclass(frozen=True)
class Measurements:
    """What was measured on a finding's segmentation.

    Parameters
    ----------
    kind:
        One of ``KINDS``.
    volume_mm3:
        Of the whole nodule.
    longest_mm, perpendicular_mm:
        The longest diameter in the axial slice in which the nodule is largest, and the longest one at right
        angles to it there.
    mean_hu, min_hu:
        Over the voxels inside.
    solid_volume_mm3, solid_mean_mm:
        The solid part, and the mean of its two diameters; the whole of a solid nodule, 0 of a non-solid one.

    Raises
    ------
    InputError
        The kind is unknown, a number is not finite, or a size is impossible.
    """

    kind: str
    volume_mm3: float
    longest_mm: float
    perpendicular_mm: float
    mean_hu: float
    min_hu: float
    solid_volume_mm3: float
    solid_mean_mm: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"Expected a nodule that is {', '.join(KINDS)}, got {self.kind!r}.")
        sizes = (self.volume_mm3, self.longest_mm, self.perpendicular_mm)
        solid = (self.solid_volume_mm3, self.solid_mean_mm)
        finite = all(math.isfinite(number) for number in (*sizes, *solid, self.mean_hu, self.min_hu))
        if not finite or min(sizes) <= 0 or min(solid) < 0 or self.perpendicular_mm > self.longest_mm:
            raise InputError(
                "Expected finite measurements with sizes above 0 and the longest diameter first, got a volume of "
                f"{self.volume_mm3} mm3, diameters of {self.longest_mm} and {self.perpendicular_mm} mm and a solid "
                f"part of {self.solid_volume_mm3} mm3; measure the finding again."
            )

    @property
    def mean_diameter_mm(self) -> float:
        """The mean of both diameters, which Lung-RADS goes by."""
        return (self.longest_mm + self.perpendicular_mm) / 2


@dataclass(frozen=True)
class Finding:
    """One nodule: one row of the table, one box and one segment in the scene, tied by its id.

    Parameters
    ----------
    id:
        Stays with it for good: letters, digits, dots, hyphens and underscores.
    box:
        Where it is, along the volume's own axes.
    score:
        How sure the detector is, 0..1.
    probabilities:
        By class, where the detector knows several.
    measurements:
        None when it could not be segmented.
    location:
        In words: which lung, which third.
    malignancy:
        Probability from a classifier; None without one.
    category:
        Size-based category by Lung-RADS, one of ``CATEGORIES``; "" when there is none.
    status:
        One of ``STATUSES``.

    Raises
    ------
    InputError
        The id has other characters, the status or the category is unknown, or a probability is outside of 0..1.
    """

    id: str
    box: OrientedBox
    score: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    measurements: Measurements | None = None
    location: str = ""
    malignancy: float | None = None
    category: str = ""
    status: str = UNDECIDED

    def __post_init__(self) -> None:
        if not ID_PATTERN.fullmatch(self.id):
            raise InputError(
                f"Expected an id of at most 64 letters, digits, dots, hyphens and underscores, got {self.id!r}."
            )
        if self.status not in STATUSES:
            raise InputError(f"Expected the status of {self.id} to be {', '.join(STATUSES)}, got {self.status!r}.")
        if self.category not in ("", *CATEGORIES):
            raise InputError(
                f"Expected the category of {self.id} to be {', '.join(CATEGORIES)}, got {self.category!r}."
            )
        malignancy = {} if self.malignancy is None else {"malignancy": self.malignancy}
        for name, value in {"score": self.score, **self.probabilities, **malignancy}.items():
            if not 0 <= value <= 1:
                raise InputError(f"Expected {name} of {self.id} within 0 and 1, got {value}.")
        object.__setattr__(self, "probabilities", MappingProxyType(dict(self.probabilities)))

    @property
    def center_ras_mm(self) -> Triple:
        """The middle of its box."""
        return self.box.center_ras_mm

    def reviewed(self, status: str) -> Finding:
        """The same finding with what its reviewer says.

        Raises
        ------
        InputError
            The status is unknown.
        """
        return replace(self, status=status)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        m = self.measurements
        measured = None if m is None else {**vars(m), "mean_diameter_mm": m.mean_diameter_mm}
        return {
            "id": self.id,
            "center_ras_mm": list(self.box.center_ras_mm),
            "size_mm": list(self.box.size_mm),
            "directions": [list(row) for row in self.box.directions],
            "score": self.score,
            "probabilities": dict(self.probabilities),
            "measurements": measured,
            "location": self.location,
            "malignancy": self.malignancy,
            "category": self.category,
            "status": self.status,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """From the plain form.

        Raises
        ------
        InputError
            A field is missing or of another kind.
        CNNSegError
            A value makes no sense.
        """
        try:
            first, second, third = (tuple(row) for row in data["directions"])
            box = OrientedBox(tuple(data["center_ras_mm"]), tuple(data["size_mm"]), (first, second, third))
            measured = data["measurements"]
            fields = {k: v for k, v in measured.items() if k != "mean_diameter_mm"} if measured else None
            return cls(
                id=str(data["id"]),
                box=box,
                score=float(data["score"]),
                probabilities={str(name): float(value) for name, value in data["probabilities"].items()},
                measurements=None if fields is None else Measurements(**fields),
                location=str(data["location"]),
                malignancy=None if data["malignancy"] is None else float(data["malignancy"]),
                category=str(data["category"]),
                status=str(data["status"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"Expected a finding as CNNSeg writes it, got one that does not fit ({error!r}); write it again."
            ) from error
