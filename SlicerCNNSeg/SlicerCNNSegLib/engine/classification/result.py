"""What a classification gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GeometryError
from ..labels import ClassLabel
from ..result import RunRecord
from ..volume import Geometry

DECISION = 0.5
"""Probability from which on a class of a multi-label model is said to be there."""


@dataclass(frozen=True)
class Prediction:
    """The probabilities of one image or region.

    Parameters
    ----------
    name:
        Of the region; "" for the whole image.
    start_ijk, stop_ijk:
        The half-open index box of the image that was looked at.
    probabilities:
        One for each class.
    spread:
        Standard deviation of each over the networks of an ensemble, and over runs with dropout; None for a single
        run of a single network.
    multi_label:
        Whether classes don't exclude each other.
    novelty:
        How far from the training images it is, see ``familiarity.py``; above 1 further than nearly all that were held
        out. None where the model says nothing of it.
    """

    name: str
    start_ijk: tuple[int, int, int]
    stop_ijk: tuple[int, int, int]
    probabilities: tuple[float, ...]
    spread: tuple[float, ...] | None = None
    multi_label: bool = False
    novelty: float | None = None

    @property
    def top(self) -> int:
        """Index of the most probable class, the first of equal ones."""
        return int(np.argmax(self.probabilities))

    @property
    def decided(self) -> tuple[int, ...]:
        """Indices of the classes that are decided for: the most probable one, or all from ``DECISION`` on."""
        if not self.multi_label:
            return (self.top,)
        return tuple(n for n, probability in enumerate(self.probabilities) if probability >= DECISION)

    @property
    def entropy(self) -> float:
        """How undecided the probabilities are, from 0 (one is 1) to 1 (all are alike); Shannon's, scaled.

        Of a multi-label model the mean over its classes.
        """
        p = np.asarray(self.probabilities, dtype=np.float64)
        if self.multi_label:
            return float(np.mean([_entropy(np.array([one, 1 - one])) for one in p]))
        return _entropy(p)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where the image speaks for a class.

    Parameters
    ----------
    method, layer:
        ``gradcam``, ``gradcam++``, ``occlusion`` or ``features``; the network's layer ("" for occlusion).
    classes:
        For each prediction the name of the class that is explained.
    heat:
        float32 on the image's grid, shape ``(k, j, i)``: 0 outside of what was looked at, up to 1 where
        most speaks for the class. Each region is scaled by itself.
    similarity:
        Of the maps to those of networks with random weights, largest over the predictions; None when not asked.
    passed:
        Whether that is low enough: whether the maps show what was learned. None when not asked.
    """

    method: str
    layer: str
    classes: tuple[str, ...]
    heat: np.ndarray
    similarity: float | None = None
    passed: bool | None = None

    @property
    def verdict(self) -> str:
        """In words, whether the map shows what the network has learned; "" when nobody asked."""
        if self.similarity is None:
            return ""
        what = f"similarity to maps of networks with random weights {self.similarity:.2f}"
        if self.passed:
            return f"The heat map depends on what was learned ({what})."
        return f"The heat map is much the same without anything learned ({what}); don't rely on it."

    def to_json(self) -> dict[str, Any]:
        """The plain form, without the map."""
        return {
            "method": self.method,
            "layer": self.layer,
            "classes": list(self.classes),
            "similarity": self.similarity,
            "passed": self.passed,
        }


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """Probabilities of an image or of its regions, and why.

    Parameters
    ----------
    classes:
        What the probabilities are of, in their order.
    predictions:
        One for each region, or one for the whole image.
    geometry:
        The image's grid.
    record:
        How it came about.
    explanation:
        None when nobody asked.

    Raises
    ------
    GeometryError
        The heat map's shape is not the geometry's.
    """

    classes: tuple[ClassLabel, ...]
    predictions: tuple[Prediction, ...]
    geometry: Geometry
    record: RunRecord
    explanation: Explanation | None = None

    def __post_init__(self) -> None:
        if self.explanation is not None and self.explanation.heat.shape != self.geometry.shape_kji:
            raise GeometryError(
                f"Expected a heat map of shape (k, j, i) {self.geometry.shape_kji}, got {self.explanation.heat.shape}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(label.name for label in self.classes)

    def rows(self) -> list[dict[str, Any]]:
        """The predictions in plain form.

        Keys: region, decided (list of class names), probabilities and spread (class name to number, spread
        None for a single run), entropy, novelty (or None), start_ijk, stop_ijk.
        """
        return [
            {
                "region": one.name,
                "decided": [self.names[n] for n in one.decided],
                "probabilities": _by_name(self.names, one.probabilities),
                "spread": None if one.spread is None else _by_name(self.names, one.spread),
                "entropy": round(one.entropy, 6),
                "novelty": None if one.novelty is None else round(one.novelty, 4),
                "start_ijk": list(one.start_ijk),
                "stop_ijk": list(one.stop_ijk),
            }
            for one in self.predictions
        ]


def _by_name(names: tuple[str, ...], values: tuple[float, ...]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(names, values, strict=True)}


def _entropy(p: np.ndarray) -> float:
    positive = p[p > 0]
    return float(max(0.0, -(positive * np.log(positive)).sum()) / np.log(len(p)))
