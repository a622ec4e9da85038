"""What a detection gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeometryError
from ..findings.finding import Finding
from ..labels import Label
from ..result import RunRecord
from ..volume import Geometry

if TYPE_CHECKING:
    from ..findings.lungs import Lungs
    from ..findings.segmenting import SegmentedNodule


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """The candidates of one image, and which of them are findings.

    Parameters
    ----------
    candidates:
        Everything that was found, the highest score first.
    threshold:
        The score from which on a candidate is a finding.
    labelmap:
        Shape ``(k, j, i)``, uint8 or uint16: candidate n (from 1) where it was segmented, 0 elsewhere.
    geometry:
        The image's grid.
    label:
        What is found: name, colour and code of each segment.
    record:
        How it came about.
    lungs:
        Where was searched; None in a result that was read from files.
    nodules:
        The segmentation of each candidate that was measured, by its id.

    Raises
    ------
    GeometryError
        The labelmap's shape is not the geometry's.
    """

    candidates: tuple[Finding, ...]
    threshold: float
    labelmap: np.ndarray
    geometry: Geometry
    label: Label
    record: RunRecord
    lungs: Lungs | None
    nodules: Mapping[str, SegmentedNodule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labelmap.shape != self.geometry.shape_kji:
            raise GeometryError(
                f"Expected a labelmap of shape (k, j, i) {self.geometry.shape_kji}, got {self.labelmap.shape}."
            )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The candidates whose score reaches the threshold."""
        return tuple(one for one in self.candidates if one.score >= self.threshold)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Of each candidate the label of its voxels, named by its id."""
        return tuple(
            replace(self.label, value=value, name=f"{self.label.name} {one.id}")
            for value, one in enumerate(self.candidates, start=1)
        )

    @property
    def finding_labels(self) -> tuple[Label, ...]:
        """The labels of the findings alone."""
        found = {one.id for one in self.findings}
        return tuple(label for label, one in zip(self.labels, self.candidates, strict=True) if one.id in found)

    def finding_labelmap(self) -> np.ndarray:
        """The labelmap with the findings alone, shape ``(k, j, i)``."""
        kept = [label.value for label in self.finding_labels]
        return np.where(np.isin(self.labelmap, kept), self.labelmap, 0).astype(self.labelmap.dtype)

    def rows(self) -> list[dict[str, Any]]:
        """The findings in plain form, see ``Finding.to_json``."""
        return [one.to_json() for one in self.findings]
