"""What the last run of each model took on this computer: what the next one will take, before it begins."""

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
from .peaks import Memory

FILE = "last_runs.json"
"""Beside the workers' logs."""

LOADING = "load model"
"""The stage that a warm worker leaves out."""


@dataclass(frozen=True)
class Looked:
    """How much a run looks at.

    Parameters
    ----------
    extent_mm:
        Size of the box that holds it along R, A, S; of several regions the largest one's.
    volume_mm3, voxels:
        Of the image's grid, all regions together.
    given_bytes:
        Of the whole images.
    """

    extent_mm: tuple[float, float, float]
    volume_mm3: float
    voxels: float
    given_bytes: int


@dataclass(frozen=True)
class LastRun:
    """The last run of a model: where, how long, of how much, and the memory that it took, where that was measured."""

    device: str
    seconds: float
    looked: Looked
    memory: Memory | None = None

    def seconds_for(self, package: ModelPackage, volume_mm3: float) -> float:
        """For so much of the patient: windows cover space, while a classifier looks at one."""
        return self.seconds if package.classes else self.seconds * volume_mm3 / self.looked.volume_mm3


def remember(record: RunRecord, given_bytes: int, memory: Memory | None = None) -> None:
    """Keep what a run took of images of that size; where nothing can be written, nothing is kept."""
    seconds = sum(taken for stage, taken in record.seconds.items() if stage != LOADING)
    searched: Any = record.inputs[0]
    regions: Any = record.settings.get("regions", ())
    i, j, k = searched["size_ijk"]
    geometry = Geometry((k, j, i), np.array(searched["ijk_to_ras"]))
    looked = looked_at(geometry, [_region(text) for text in regions], given_bytes)
    key = f"{record.model_id} {record.model_version}"
    remembered.remember(_path(), key, asdict(LastRun(record.device, seconds, looked, memory)))


def recall(package: ModelPackage) -> LastRun | None:
    """The last run of a model on this computer."""
    entry = remembered.recalled(_path(), f"{package.id} {package.version}") or {}
    try:
        memory = entry["memory"] and Memory(**entry["memory"])
        return LastRun(str(entry["device"]), float(entry["seconds"]), Looked(**entry["looked"]), memory)
    except (KeyError, TypeError, ValueError):
        return None


def looked_at(geometry: Geometry, regions: Sequence[Region], given_bytes: int) -> Looked:
    """How much of images of that grid is looked at: the regions, or all of it.

    Raises
    ------
    RegionError
        Nothing of a region lies inside the image.
    """
    boxes = [region.index_box(geometry) for region in regions] or [((0, 0, 0), geometry.size_ijk)]
    parts = [geometry.cropped(start, stop) for start, stop in boxes]
    voxels = sum(float(np.prod(part.size_ijk)) for part in parts)
    x, y, z = max((part.extent_ras_mm for part in parts), key=lambda extent: float(np.prod(extent)))
    return Looked((float(x), float(y), float(z)), voxels * geometry.voxel_volume_mm3, voxels, given_bytes)


def _region(text: str) -> Region:
    """A region as a record has it, ``[NAME=]KIND:low,high,...``."""
    kind, _, box = text.rpartition("=")[2].partition(":")
    return Region.parse(kind, box)


def _path() -> Path:
    return logs_folder() / FILE
