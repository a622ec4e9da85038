"""Values of a volume at points in the patient."""

import numpy as np
from scipy.ndimage import map_coordinates

from SlicerCNNSegLib.engine.volume import Volume


def sample(volume: Volume, points_ras_mm: np.ndarray) -> np.ndarray:
    """The first channel at RAS points (n, 3), interpolated linearly by scipy; NaN outside."""
    index = volume.geometry.ijk_from_ras(points_ras_mm)
    inside = ((index >= -1e-3) & (index <= np.array(volume.geometry.size_ijk) - 1 + 1e-3)).all(axis=1)
    values = map_coordinates(volume.array[0].astype(np.float64), index.T[::-1], order=1, mode="nearest")
    return np.where(inside, values, np.nan)
