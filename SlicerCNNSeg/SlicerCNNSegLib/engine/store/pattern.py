"""The synthetic image of a self-check, as a few numbers: no image of a patient, and the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError
from ..package import ModelPackage
from ..volume import Volume

FILE = Path("configs") / "self_check.json"
SEEDS = range(4)
LARGEST_SIDE = 96
DEFAULT_RANGE = (0.0, 1000.0)


@dataclass(frozen=True)
class Pattern:
    """A synthetic image: waves and a ball, in formulas that give the same everywhere.

    Parameters
    ----------
    seed:
        Which waves.
    size_ijk, spacing_mm:
        Its grid, along R, A, S.
    low, high:
        Range of its values.
    """

    seed: int
    size_ijk: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    low: float
    high: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pattern:
        """From the plain form.

        Raises
        ------
        ModelError
            Something is missing, or a size is out of reason.
        """
        try:
            i, j, k = (int(n) for n in data["size_ijk"])
            x, y, z = (float(mm) for mm in data["spacing_mm"])
            pattern = cls(int(data["seed"]), (i, j, k), (x, y, z), float(data["low"]), float(data["high"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{FILE.as_posix()} has no right image ({error}); get the model anew.") from error
        numbers = np.array([*pattern.spacing_mm, pattern.low, pattern.high])
        sizes_fit = all(1 <= n <= LARGEST_SIDE for n in pattern.size_ijk) and 0 <= pattern.seed < 1000
        if not sizes_fit or not np.isfinite(numbers).all() or not all(0.05 <= mm <= 50 for mm in pattern.spacing_mm):
            raise ModelError(f"{FILE.as_posix()} has an image of impossible size or values; get the model anew.")
        return pattern

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def volumes(self, package: ModelPackage) -> list[Volume]:
        """The image, once for each channel of the model, each with waves of its own."""
        volumes = []
        for number, channel in enumerate(package.channels):
            k, j, i = np.meshgrid(*(_from_end_to_end(n) for n in reversed(self.size_ijk)), indexing="ij")
            turn = 0.7 * self.seed + 1.3 * number
            waves = np.sin((3 + self.seed) * i + turn) * np.cos(4 * j - turn) * np.sin(5 * k + 0.5 * turn)
            ball = 1 / (1 + np.exp(20 * (np.sqrt(i * i + j * j + k * k) - 0.5)))
            values = self.low + (self.high - self.low) * (0.2 + 0.5 * ball + 0.15 * (waves + 1))
            matrix = np.diag([*self.spacing_mm, 1.0])
            volumes.append(Volume(values[None].astype(np.float32), matrix, (channel.name,), channel.modality))
        return volumes


def pattern_for(package: ModelPackage, seed: int, size_ijk: tuple[int, int, int] | None = None) -> Pattern:
    """An image of about the extent and intensities that the model was trained on, or of the size given."""
    transforms = package.inference.get("preprocessing", {}).get("transforms", ())
    spacing, (low, high) = np.ones(3), DEFAULT_RANGE
    for transform in transforms:
        if str(transform.get("_target_", "")).endswith("Spacingd"):
            wanted = [*np.atleast_1d(transform["pixdim"]).tolist(), 0.0, 0.0][:3]
            spacing = np.array([float(mm) if mm > 0 else 1.0 for mm in wanted])
        if str(transform.get("_target_", "")).endswith("ScaleIntensityRanged"):
            low, high = float(transform["a_min"]), float(transform["a_max"])
    extent = np.mean(package.extent_mm, axis=0) if package.extent_mm else 48 * spacing
    if size_ijk is None:
        i, j, k = (int(n) for n in np.clip(np.round(extent / spacing), 8, LARGEST_SIDE))
        size_ijk = i, j, k
    x, y, z = (float(mm) for mm in spacing)
    return Pattern(seed, size_ijk, (x, y, z), low, high)


def _from_end_to_end(count: int) -> np.ndarray:
    """So many places from -1 to 1; a single slice lies in the middle."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
