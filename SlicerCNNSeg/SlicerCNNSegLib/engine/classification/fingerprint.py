"""What the images looked like that a classifier was trained on, and whether another one does: asked before a run.

A warning is no proof that a result is wrong; none is no proof that it is right. ``familiarity.py`` asks the
network itself, after the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..volume import Volume

PERCENTILES = (1.0, 50.0, 99.0)
"""Of the voxels that the network looks at, each channel by itself."""

SPACING_FACTOR, EXTENT_FACTOR = 2.0, 1.5
"""How many times larger or smaller than in all training images a spacing, or a side, may be."""

INTENSITY_SHARE = 0.25
"""How far a percentile may lie outside of its range in training, as a share of all percentiles' range."""


@dataclass(frozen=True)
class Look:
    """What one image, or the box of it that the network looks at, is like.

    Parameters
    ----------
    spacing_mm, extent_mm:
        Along the network's axes; of pictures, which have no place in a patient, in pixels.
    percentiles:
        ``(channel, percentile)``, see ``PERCENTILES``.
    """

    spacing_mm: np.ndarray
    extent_mm: np.ndarray
    percentiles: np.ndarray

    @classmethod
    def at(cls, part: Volume, order: Sequence[int], dimensions: int, *, in_mm: bool) -> Look:
        """Of an image.

        Parameters
        ----------
        order:
            Its axes in the network's order, as many as have a spacing that matters.
        dimensions:
            The network's.
        """
        axes = list(order)
        spacing = np.asarray(part.geometry.spacing_mm)[axes] if in_mm else np.ones(len(axes))
        extent = np.array(part.geometry.size_ijk, dtype=np.float64)[axes] * spacing
        values = np.percentile(part.array.reshape(part.channels, -1), PERCENTILES, axis=1).T
        return cls(spacing, extent[:dimensions], values)


@dataclass(frozen=True)
class Fingerprint:
    """Smallest and largest of what training images looked like.

    Parameters
    ----------
    spacing_mm, extent_mm:
        ``(2, axis)``: smallest and largest; spacing is None for pictures.
    percentiles:
        ``(2, channel, percentile)``; None for a model to which the scale of intensities is nothing.
    """

    spacing_mm: np.ndarray | None
    extent_mm: np.ndarray
    percentiles: np.ndarray | None

    @classmethod
    def of(cls, looks: Sequence[Look], *, in_mm: bool, absolute: bool) -> Fingerprint:
        """Of training images; ``absolute``: whether the model takes intensities as they are, as Hounsfield units."""
        spacing, extent, percentiles = (
            np.array([getattr(look, name) for look in looks]) for name in ("spacing_mm", "extent_mm", "percentiles")
        )
        return cls(_ends(spacing) if in_mm else None, _ends(extent), _ends(percentiles) if absolute else None)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fingerprint:
        """From the plain form.

        Raises
        ------
        KeyError, TypeError, ValueError
            Something is missing, or no number.
        """
        spacing, extent, percentiles = (
            None if data[name] is None else np.array(data[name], dtype=np.float64)
            for name in ("spacing_mm", "extent_mm", "percentiles")
        )
        if extent is None or extent.ndim != 2 or len(extent) != 2:
            raise ValueError(f"expected the smallest and largest extent_mm, got {data['extent_mm']}")
        return cls(spacing, extent, percentiles)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {name: None if value is None else np.round(value, 3).tolist() for name, value in vars(self).items()}

    def merged(self, other: Fingerprint) -> Fingerprint:
        """That of both sets of images together."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in vars(self))
        merged = [None if a is None else np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])]) for a, b in pairs]
        return Fingerprint(*merged)  # type: ignore[arg-type]

    def differences(self, look: Look) -> list[str]:
        """In words, what of an image is unlike all training images."""
        found, unit = [], "mm" if self.spacing_mm is not None else "pixels"
        if self.spacing_mm is not None and _off(look.spacing_mm, self.spacing_mm, SPACING_FACTOR).any():
            found.append(f"a spacing of {_by(look.spacing_mm)} mm (trained with {_range(self.spacing_mm)})")
        off = _off(look.extent_mm, self.extent_mm, EXTENT_FACTOR)
        if self.spacing_mm is None:  # a picture of more pixels is only reduced
            off = look.extent_mm < self.extent_mm[0] / EXTENT_FACTOR
        if off.any():
            found.append(f"a size of {_by(look.extent_mm)} {unit} (trained with {_range(self.extent_mm)})")
        if self.percentiles is not None and self._unlike(look.percentiles):
            low, middle, high = look.percentiles.mean(0)
            trained = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in self.percentiles.mean(1).T)
            found.append(
                f"intensities of {low:.0f}, {middle:.0f} and {high:.0f} (darkest, middle, brightest; trained with "
                f"{trained})"
            )
        return found

    def _unlike(self, percentiles: np.ndarray) -> bool:
        assert self.percentiles is not None
        low, high = self.percentiles
        slack = INTENSITY_SHARE * (high.max(axis=1) - low.min(axis=1))[:, None]
        return bool(((percentiles < low - slack) | (percentiles > high + slack)).any())


def _ends(values: np.ndarray) -> np.ndarray:
    return np.stack([values.min(axis=0), values.max(axis=0)])


def _off(values: np.ndarray, ends: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray((values < ends[0] / factor) | (values > ends[1] * factor))


def _by(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _range(ends: np.ndarray) -> str:
    return " x ".join(f"{a:.3g}" if a == b else f"{a:.3g}-{b:.3g}" for a, b in ends.T)
