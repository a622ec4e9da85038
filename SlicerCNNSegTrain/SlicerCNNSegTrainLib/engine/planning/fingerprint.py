"""What the data is like, as plain numbers: everything that a plan follows from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume

from ..checking.check import structure_names
from ..checking.facts import CaseFacts
from ..data.cases import TEST, VALIDATION, TrainingCase, TrainingData
from ..data.label_choice import is_ignored
from ..data.reading import Reading
from .modality import CT, modality_of

THIN_PERCENTILE = 10.0
"""A structure's thickness is that of its thin ones: the 10th percentile of its mean chords over the cases."""

MIN_SD = 1e-6
"""A foreground that is all alike would be divided by zero."""


@dataclass(frozen=True)
class ChannelFacts:
    """One channel.

    Parameters
    ----------
    name, modality:
        As in a bundle; modality "" when it cannot be told.
    low, high, mean, sd:
        0.5th and 99.5th percentile, mean and SD of the intensities of labelled voxels over all cases.
    hounsfield:
        Whether the values are those of a CT in Hounsfield units, by ``engine/inputs.py``.
    """

    name: str
    modality: str
    low: float
    high: float
    mean: float
    sd: float
    hounsfield: bool


@dataclass(frozen=True)
class StructureFacts:
    """One structure.

    Parameters
    ----------
    value, name:
        In the labels.
    cases:
        Number of cases that hold it.
    volume_mm3:
        Median over these.
    share:
        Of their voxels.
    thickness_mm:
        Mean chord along R, A, S of its thin ones; see ``THIN_PERCENTILE`` and ``measure.chords_mm``.
    """

    value: int
    name: str
    cases: int
    volume_mm3: float
    share: float
    thickness_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Fingerprint:
    """A data set in numbers.

    Parameters
    ----------
    channels, structures:
        In order.
    sizes, spacings_mm:
        Of each case along R, A, S; voxels and mm.
    patients:
        How many there are.
    filled:
        Median share of the image in the box that holds all that is not 0; small for brains without skull.
    foreground_share:
        Median share of labelled voxels.
    ignore_value:
        Label value of voxels that nobody labelled, 0 for none.
    never_seen:
        Names of structures that ``dataset.json`` names and no case holds.
    held_out:
        Cases that the data itself keeps for validation, 0 when it leaves that to folds.
    """

    channels: tuple[ChannelFacts, ...]
    structures: tuple[StructureFacts, ...]
    sizes: tuple[tuple[int, int, int], ...]
    spacings_mm: tuple[tuple[float, float, float], ...]
    patients: int
    filled: float
    foreground_share: float
    ignore_value: int = 0
    never_seen: tuple[str, ...] = ()
    held_out: int = 0

    @property
    def cases(self) -> int:
        """How many there are."""
        return len(self.sizes)

    @property
    def names(self) -> dict[int, str]:
        """Label value to name of the structures."""
        return {structure.value: structure.name for structure in self.structures}

    @property
    def median_size(self) -> np.ndarray:
        """Along R, A, S."""
        return np.median(self.sizes, axis=0)

    @property
    def median_spacing_mm(self) -> np.ndarray:
        """Along R, A, S."""
        return np.median(self.spacings_mm, axis=0)

    def voxels_at(self, spacing_mm: Sequence[float]) -> np.ndarray:
        """Sizes of the cases at a spacing, shape (cases, 3); 0 keeps the case's own."""
        own = np.asarray(self.spacings_mm)
        wanted = np.where(np.asarray(spacing_mm) > 0, spacing_mm, own)
        return np.maximum(1, np.round(np.asarray(self.sizes) * own / wanted)).astype(int)

    def ram_bytes(self, spacing_mm: Sequence[float]) -> int:
        """All cases in memory at a spacing: float32 for each channel, a byte for the label."""
        return int(self.voxels_at(spacing_mm).prod(axis=1).sum()) * (4 * len(self.channels) + 1)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)


def take_fingerprint(data: TrainingData, reading: Reading) -> Fingerprint:
    """The data's numbers, from what was measured when it was read. Test cases are left out.

    Raises
    ------
    SettingsError
        No case can be planned for: none was read, or none holds a structure.
    """
    facts = [one for one in reading.facts.values() if one.case.split != TEST and not one.grid_fault]
    named = structure_names(data, facts, None)
    ignored = next((value for value, name in named.items() if is_ignored(name)), 0)
    named = {value: name for value, name in named.items() if value != ignored}
    occurring = {value for one in facts for value in one.voxels}
    names = {value: name for value, name in named.items() if value in occurring}
    if not names:
        raise SettingsError(
            f"Expected labelled cases to plan for, got {len(facts)} readable ones with none of "
            f"{', '.join(named.values()) or 'any structure'}; see 'cnnseg-train check'."
        )
    labelled = [sum(n for value, n in one.voxels.items() if value in names) / one.size.prod() for one in facts]
    return Fingerprint(
        channels=_channels(data, facts),
        structures=tuple(_structure(value, name, facts) for value, name in names.items()),
        sizes=tuple(tuple(int(n) for n in one.size) for one in facts),  # type: ignore[misc]
        spacings_mm=tuple(tuple(round(float(mm), 6) for mm in one.spacing_mm) for one in facts),  # type: ignore[misc]
        patients=len({one.case.patient for one in facts}),
        filled=float(np.median([one.filled for one in facts])),
        foreground_share=float(np.median(labelled)),
        ignore_value=ignored,
        never_seen=tuple(name for value, name in named.items() if value not in occurring),
        held_out=sum(one.case.split == VALIDATION for one in facts),
    )


def _channels(data: TrainingData, facts: Sequence[CaseFacts]) -> tuple[ChannelFacts, ...]:
    count = min(len(one.intensities) for one in facts)
    hounsfield = np.mean([one.modality == CT for one in facts]) > 0.5
    tagged = facts[0].modality if len({one.modality for one in facts}) == 1 else ""
    told = data.description.channels
    channels = []
    for index in range(count):
        name = told[index] if index < len(told) else ""
        modality = modality_of(name) or (tagged if count == 1 else "")
        values = np.concatenate([one.foreground[index] for one in facts]).astype(np.float64)
        low, high = np.percentile(values, (0.5, 99.5)) if len(values) else (0.0, 1.0)
        mean, sd = (values.mean(), values.std()) if len(values) else (0.0, 1.0)
        default = modality or ("image" if count == 1 else f"channel_{index}")
        low, high, mean, sd = (float(f"{number:.6g}") for number in (low, high, mean, max(sd, MIN_SD)))
        channels.append(ChannelFacts(name or default, modality, low, high, mean, sd, bool(hounsfield)))
    return tuple(channels)


def _structure(value: int, name: str, facts: Sequence[CaseFacts]) -> StructureFacts:
    holding = [one for one in facts if one.voxels.get(value)]
    thickness = np.percentile([one.chords_mm[value] for one in holding], THIN_PERCENTILE, axis=0)
    return StructureFacts(
        value=value,
        name=name,
        cases=len(holding),
        volume_mm3=round(float(np.median([one.voxels[value] * one.voxel_mm3 for one in holding])), 2),
        share=sum(one.voxels[value] for one in holding) / sum(int(one.size.prod()) for one in holding),
        thickness_mm=tuple(round(float(mm), 3) for mm in thickness),  # type: ignore[arg-type]
    )


def measure_extent(cases: Sequence[TrainingCase]) -> dict[str, Any]:
    """Smallest and largest extent along R, A, S of the cases' images, for the bundle's ``cnnseg.extent_mm``."""
    extents = np.array([read_volume(case.images[0]).geometry.extent_ras_mm for case in cases])
    return {"low": extents.min(axis=0).round(1).tolist(), "high": extents.max(axis=0).round(1).tolist()}
