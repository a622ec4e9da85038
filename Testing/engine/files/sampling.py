"""Values of a volume at points in the patient."""

import numpy as np
import SimpleITK as sitk

from SlicerCNNSegLib.engine.volume import Volume


def sample(volume: Volume, points_ras_mm: np.ndarray) -> np.ndarray:
    """The first channel at RAS points (n, 3), by SimpleITK's linear interpolator; NaN outside."""
    image = sitk.Cast(volume.to_sitk(), sitk.sitkFloat64)
    inside = volume.geometry.ijk_from_ras(points_ras_mm)
    inside = ((inside >= 0) & (inside <= np.array(volume.geometry.size_ijk) - 1)).all(axis=1)
    values = np.full(len(points_ras_mm), np.nan)
    lps = np.asarray(points_ras_mm)[inside] * [-1, -1, 1]
    values[inside] = [image.EvaluateAtPhysicalPoint(point.tolist()) for point in lps]
    return values
