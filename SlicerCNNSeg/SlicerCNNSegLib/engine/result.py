"""What a run gives back, and the record of how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, asdict, dataclass, field

import numpy as np

from .errors import GeometryError
from .labels import Label
from .overlaps import Compound
from .steps import Steps, finished
from .volume import Geometry


@dataclass(frozen=True)
class RunRecord:
    """How a result came about: enough to trust it and to make it again.

    Parameters
    ----------
    task, model_id, model_version, model_sha256:
        What ran; the checksum covers configuration and weights.
    settings:
        The settings in plain form.
    device, precision:
        What was really used, after self-test and memory ladder.
    versions:
        Of CNNSeg, Python and the packages that compute.
    inputs:
        Per volume: source, identifiers, size (i, j, k), ijk_to_ras, channel names, modality.
    seconds:
        Per stage.
    warnings:
        What a reader of the result must know (fallbacks, forced modality, resampling on reading).
    started:
        ISO 8601 with time zone.
    choice:
        What decided on the precision (``source``: ``forced``, ``rule``, ``trial`` or ``cache``); of a network over
        windows also its ``layout`` in memory, and what a trial measured (``windows/trial.py``).
    """

    task: str
    model_id: str
    model_version: str
    model_sha256: str
    settings: dict[str, object]
    device: str
    precision: str
    versions: dict[str, str]
    inputs: tuple[dict[str, object], ...]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    started: str
    choice: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The plain form, for a JSON file or a node attribute."""
        return asdict(self)


@dataclass(frozen=True)
class Structure:
    """One row of the table of volumes."""

    value: int
    name: str
    voxels: int
    volume_mm3: float


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """A labelmap on the input's own grid, with what its values mean.

    Parameters
    ----------
    labelmap:
        Shape ``(k, j, i)``, uint8 or uint16; 0 is background.
    geometry:
        The input volume's grid.
    labels:
        Every label that the model can give, also those not found here.
    record:
        How it came about.
    compounds:
        Of a model whose structures may overlap: the structures, each made up of several values. The labels are
        then the combinations that were found.
    counted:
        The ``structures`` of this labelmap, from where they were counted before; None counts them.

    Raises
    ------
    GeometryError
        The labelmap's shape is not the geometry's.
    """

    labelmap: np.ndarray
    geometry: Geometry
    labels: tuple[Label, ...]
    record: RunRecord
    compounds: tuple[Compound, ...] = ()
    structures: tuple[Structure, ...] = field(init=False)
    counted: InitVar[tuple[Structure, ...] | None] = None

    def __post_init__(self, counted: tuple[Structure, ...] | None) -> None:
        if self.labelmap.shape != self.geometry.shape_kji:
            raise GeometryError(
                f"Expected a labelmap of shape (k, j, i) {self.geometry.shape_kji}, got {self.labelmap.shape}."
            )
        object.__setattr__(self, "structures", self._count() if counted is None else counted)

    def _count(self) -> tuple[Structure, ...]:
        box = foreground_box(self.labelmap)
        part = self.labelmap[box] if box is not None else self.labelmap[:0]
        return finished(counting(part, self.geometry, self.labels, self.compounds))

    def mask(self, name: str) -> np.ndarray:
        """Boolean mask (k, j, i) of the structure of that name.

        Raises
        ------
        KeyError
            No label has that name.
        """
        for compound in self.compounds:
            if compound.label.name == name:
                return np.isin(self.labelmap, list(compound.values))
        for label in self.labels:
            if label.name == name:
                return self.labelmap == label.value
        raise KeyError(f"No label {name!r}; the labels are {', '.join(row.name for row in self.structures)}.")


def counting(
    part: np.ndarray, geometry: Geometry, labels: Sequence[Label], compounds: Sequence[Compound] = ()
) -> Steps[tuple[Structure, ...]]:
    """The structures of a labelmap (k, j, i), or of the part of it that holds all labels; a plane at each step."""
    named = [x.value for x in labels] + [value for x in compounds for value in x.values]
    counts = np.zeros(max(named, default=0) + 1, np.int64)
    for plane in part:  # one by one, because numpy counts in a copy of eight bytes a voxel
        counts += np.bincount(plane.ravel(), minlength=counts.size)[: counts.size]
        yield
    voxel_mm3 = geometry.voxel_volume_mm3
    found = [(x.label, sum(int(counts[v]) for v in x.values)) for x in compounds]
    found += [(x, int(counts[x.value])) for x in labels]
    return tuple(Structure(x.value, x.name, voxels, voxels * voxel_mm3) for x, voxels in found)


def foreground_box(labelmap: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box (k, j, i) that holds all labels of a labelmap of that shape; None for an empty one."""
    return finished(finding_foreground(labelmap))


def finding_foreground(labelmap: np.ndarray) -> Steps[tuple[slice, slice, slice] | None]:
    """``foreground_box``, a plane at each step."""
    found = [np.zeros(size, bool) for size in labelmap.shape]
    for k, plane in enumerate(labelmap):
        rows = plane.any(axis=1)
        found[0][k] = rows.any()
        found[1] |= rows
        found[2] |= plane.any(axis=0)
        yield
    if not found[0].any():
        return None
    k_range, j_range, i_range = (np.flatnonzero(one) for one in found)
    return slice(k_range[0], k_range[-1] + 1), slice(j_range[0], j_range[-1] + 1), slice(i_range[0], i_range[-1] + 1)
