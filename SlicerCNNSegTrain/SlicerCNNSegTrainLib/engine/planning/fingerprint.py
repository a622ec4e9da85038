"""What the training images are like, for the model to say what it is made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.files.images import read_volume

from ..data.cases import TrainingCase


def measure_extent(cases: Sequence[TrainingCase]) -> dict[str, Any]:
    """Smallest and largest extent along R, A, S of the cases' images, for the bundle's ``cnnseg.extent_mm``."""
    extents = np.array([read_volume(case.images[0]).geometry.extent_ras_mm for case in cases])
    return {"low": extents.min(axis=0).round(1).tolist(), "high": extents.max(axis=0).round(1).tolist()}
