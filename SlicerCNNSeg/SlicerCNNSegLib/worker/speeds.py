"""How long runs took on this computer: what the next one will take, before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import remembered
from ..engine.package import ModelPackage
from ..engine.region import Region
from ..engine.result import RunRecord
from ..engine.volume import Geometry
from .logs import logs_folder

FILE = "speeds.json"
"""Beside the workers' logs."""

LOADING = "load model"
"""The stage that a warm worker leaves out."""


@dataclass(frozen=True)
class Speed:
    """The last run of a model: on which device, how long, and of how much of the patient."""

    device: str
    seconds: float
    volume_mm3: float

    def of(self, package: ModelPackage, volume_mm3: float) -> float:
        """Seconds for so much of the patient: windows cover space, while a classifier looks at one."""
        return self.seconds if package.classes else self.seconds * volume_mm3 / self.volume_mm3


def remember(record: RunRecord) -> None:
    """Keep how long a run took; where nothing can be written, nothing is kept."""
    seconds = sum(taken for stage, taken in record.seconds.items() if stage != LOADING)
    searched: Any = record.inputs[0]
    regions: Any = record.settings.get("regions", ())
    i, j, k = searched["size_ijk"]
    volume_mm3 = covered_mm3(Geometry((k, j, i), np.array(searched["ijk_to_ras"])), [_region(text) for text in regions])
    key = f"{record.model_id} {record.model_version}"
    remembered.remember(_path(), key, asdict(Speed(record.device, seconds, volume_mm3)))


def recall(package: ModelPackage) -> Speed | None:
    """The last run of a model on this computer."""
    try:
        return Speed(**(remembered.recalled(_path(), f"{package.id} {package.version}") or {}))
    except TypeError:
        return None


def covered_mm3(geometry: Geometry, regions: Sequence[Region]) -> float:
    """How much of the patient is looked at: the regions, or the whole image.

    Raises
    ------
    RegionError
        Nothing of a region lies inside the image.
    """
    boxes = [region.index_box(geometry) for region in regions] or [((0, 0, 0), geometry.size_ijk)]
    voxels = sum(np.prod(np.subtract(stop, start)) for start, stop in boxes)
    return float(voxels * geometry.voxel_volume_mm3)


def _region(text: str) -> Region:
    """A region as a record has it, ``[NAME=]KIND:low,high,...``."""
    kind, _, box = text.rpartition("=")[2].partition(":")
    return Region.parse(kind, box)


def _path() -> Path:
    return logs_folder() / FILE
