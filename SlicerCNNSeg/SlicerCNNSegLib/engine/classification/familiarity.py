"""Whether a network has seen the like of an image: how far its features are from those of the training images.

The last features, averaged over places, are compared with each class's mean in training, in units of the standard
deviation within classes: the Mahalanobis distance of Lee et al. 2018 (arXiv:1807.03888) with a diagonal covariance.
The *novelty* of an image is its distance to the nearest class over the one that ``QUANTILE`` of the held-out images
stay below: above 1 the image is further off than nearly all of these.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

QUANTILE = 0.99

SMALLEST = 1e-3
"""Share of the mean deviation below which a feature's own is not taken: a feature that never varied."""


@dataclass(frozen=True)
class Familiarity:
    """What one network's features are like.

    Parameters
    ----------
    centres:
        Means in training, ``(class, feature)``.
    deviations:
        Standard deviations within classes, ``(feature,)``.
    limit:
        The distance of novelty 1.

    Raises
    ------
    ValueError
        Shapes don't fit, or a number is not finite or not above 0.
    """

    centres: np.ndarray
    deviations: np.ndarray
    limit: float

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or self.deviations.shape != self.centres.shape[1:]:
            raise ValueError(f"expected centres (class, feature) and deviations, got shapes {self.centres.shape}")
        numbers = np.concatenate([self.centres.ravel(), self.deviations, [self.limit]])
        if not np.isfinite(numbers).all() or min(self.limit, self.deviations.min(initial=np.inf)) <= 0:
            raise ValueError("expected finite centres, and deviations and a limit above 0")

    @classmethod
    def fit(cls, training: np.ndarray, truth: np.ndarray, held_out: np.ndarray) -> Familiarity:
        """From features ``(image, feature)`` and the training images' classes, booleans ``(image, class)``.

        Images of several classes count in each; classes without an image are left out.
        """
        members = [training[column] for column in truth.T if column.any()] or [training]
        centres = np.stack([group.mean(axis=0) for group in members])
        within = np.concatenate([group - centre for group, centre in zip(members, centres, strict=True)])
        deviations = np.sqrt((within**2).mean(axis=0))
        deviations = np.maximum(deviations, max(SMALLEST * deviations.mean(), np.finfo(np.float32).tiny))
        plain = cls(centres, deviations, 1.0)
        return cls(centres, deviations, float(np.quantile(plain.novelty(held_out), QUANTILE)))

    def novelty(self, features: np.ndarray) -> np.ndarray:
        """Of images by their features, ``(image, feature)``; ``(image,)``."""
        away = (features[:, None] - self.centres) / self.deviations
        return np.asarray(np.sqrt((away**2).mean(axis=2)).min(axis=1) / self.limit)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Familiarity:
        """From the plain form.

        Raises
        ------
        KeyError, TypeError, ValueError
            Something is missing, or makes no sense.
        """
        centres, deviations = (
            np.frombuffer(base64.b64decode(data[name], validate=True), "<f4").astype(np.float64)
            for name in ("centres", "deviations")
        )
        return cls(centres.reshape(-1, max(1, len(deviations))), deviations, float(data["limit"]))

    def to_json(self) -> dict[str, Any]:
        """The plain form; arrays are float32 in base64."""
        packed = {
            name: base64.b64encode(getattr(self, name).astype("<f4").tobytes()).decode("ascii")
            for name in ("centres", "deviations")
        }
        return {**packed, "limit": round(self.limit, 6)}
