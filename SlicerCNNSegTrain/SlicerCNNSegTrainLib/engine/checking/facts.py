"""What the data check has to know of a case, measured in one pass while its voxels are in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from SlicerCNNSegLib.engine.files.labelmaps import LabelmapFile
from SlicerCNNSegLib.engine.inputs import guess_modality
from SlicerCNNSegLib.engine.preprocess import Preprocessing
from SlicerCNNSegLib.engine.volume import Geometry, Volume

from ..data.cases import TrainingCase
from ..planning.measure import chords_mm, filled_share, foreground_sample
from .duplicates import signature, voxel_hash

PERCENTILES = (0.5, 50.0, 99.5)
"""Robust ends and the middle of an image's intensities, as nnU-Net takes them."""

PROBED_VOXELS = 1_000_000
"""Voxels, evenly strided, that percentiles are taken of: a whole CT would take seconds."""

TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """One readable case in numbers.

    Parameters
    ----------
    case:
        Which one.
    size, spacing_mm, extent_mm:
        Of the image along R, A, S (the closest axes), shape (3,) each; voxels, mm, mm.
    intensities:
        The ``PERCENTILES`` of each channel, shape (channels, 3).
    bad_voxels:
        Voxels that are NaN or infinite.
    constant:
        Names (``channel 0``) of channels whose voxels are all alike.
    grid_fault:
        How the label's grid differs from the image's; empty when it does not.
    voxels:
        Label value to number of voxels, without background.
    voxel_mm3:
        Volume of a voxel of the label.
    image_hash, label_hash:
        Checksums of the voxels.
    signature:
        See ``duplicates.py``; of the first channel.
    modality:
        As tagged, or ``CT`` by its values, or "".
    filled, foreground, chords_mm:
        What a plan is made of, see ``planning/measure.py``; no foreground where the grids differ.
    left_out:
        Label values of the file that became background, by choice, before anything was measured.
    """

    case: TrainingCase
    size: np.ndarray
    spacing_mm: np.ndarray
    extent_mm: np.ndarray
    intensities: np.ndarray
    bad_voxels: int
    constant: tuple[str, ...]
    grid_fault: str
    voxels: Mapping[int, int]
    voxel_mm3: float
    image_hash: str
    label_hash: str
    signature: np.ndarray
    modality: str
    filled: float
    foreground: np.ndarray
    chords_mm: Mapping[int, np.ndarray]
    left_out: frozenset[int] = frozenset()


def examine(case: TrainingCase, image: Volume, truth: LabelmapFile) -> CaseFacts:
    """Measure a case."""
    geometry = image.geometry
    placement = Preprocessing().placement(geometry)  # RAS, at the image's own spacing
    order = list(placement.order)
    spacing, size = geometry.spacing_mm[order], np.asarray(geometry.size_ijk)[order]
    bad = int(image.array.size - np.count_nonzero(np.isfinite(image.array))) if image.array.dtype.kind == "f" else 0
    finite = np.nan_to_num(image.array, posinf=0.0, neginf=0.0) if bad else image.array
    fault = grid_fault(geometry, truth.geometry)
    return CaseFacts(
        case=case,
        size=size,
        spacing_mm=spacing,
        extent_mm=size * spacing,
        intensities=np.array([_percentiles(channel) for channel in finite]),
        bad_voxels=bad,
        constant=tuple(f"channel {n}" for n, channel in enumerate(finite) if channel.min() == channel.max()),
        grid_fault=fault,
        voxels=_count(truth.labelmap),
        voxel_mm3=truth.geometry.voxel_volume_mm3,
        image_hash=voxel_hash(image.array),
        label_hash=voxel_hash(truth.labelmap),
        signature=signature(finite[0], order, placement.flips),
        modality=guess_modality(image),
        filled=filled_share(finite),
        foreground=np.empty((image.channels, 0)) if fault else foreground_sample(finite, truth.labelmap),
        chords_mm={} if fault else chords_mm(truth.labelmap, spacing, order),
    )


def grid_fault(image: Geometry, label: Geometry) -> str:
    """In words, how the label's grid differs from the image's; empty when it does not."""
    if label.matches(image, TOLERANCE_MM):
        return ""
    if label.size_ijk != image.size_ijk:
        return f"the label has {_by(label.size_ijk)} voxels, the image {_by(image.size_ijk)}"
    if not np.allclose(label.spacing_mm, image.spacing_mm, atol=TOLERANCE_MM):
        return f"the label's voxels are {_by(label.spacing_mm)} mm, the image's {_by(image.spacing_mm)} mm"
    centre = (np.asarray(image.size_ijk) - 1) / 2
    apart_mm = float(np.linalg.norm(label.ras_from_ijk(centre) - image.ras_from_ijk(centre)))
    if apart_mm > TOLERANCE_MM:
        return f"the label's centre lies {apart_mm:.3g} mm from the image's"
    return "the label's axes run in other directions than the image's"


def _by(numbers: np.ndarray | tuple[int, ...]) -> str:
    return "x".join(f"{number:g}" for number in np.round(numbers, 3))


def _percentiles(channel: np.ndarray) -> np.ndarray:
    flat = channel.reshape(-1)
    stride = flat.size // PROBED_VOXELS | 1  # odd, or it may meet the same few columns of every slice
    return np.percentile(flat[::stride].astype(np.float64), PERCENTILES)


def _count(labelmap: np.ndarray) -> dict[int, int]:
    """Voxels per value; slice by slice, because ``bincount`` makes 8 bytes of each voxel."""
    length = int(labelmap.max()) + 1
    counts = np.sum([np.bincount(piece.ravel(), minlength=length) for piece in labelmap], axis=0)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value}
