"""The shipped model of nodules on made-up ones: its verdict does not hang on a few Hounsfield units, or on the grid."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

LUNG_HU, TISSUE_HU = -870.0, 30.0


def a_nodule(diameter_mm, spacing_mm=(0.7, 0.7, 2.0), *, gain=1.0, shift=0.0):
    """A round nodule amid lung in a volume of 56 mm, RAS centre 0; HU are (HU + 1000) * gain - 1000 + shift."""
    size = [round(56 / mm) for mm in spacing_mm]
    along = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(size, spacing_mm, strict=True)]
    axes = np.meshgrid(*reversed(along), indexing="ij")
    inside = 1 / (1 + np.exp((np.sqrt(sum(axis**2 for axis in axes)) - diameter_mm / 2) / 0.4))
    texture = gaussian_filter(np.random.default_rng(0).normal(0, 1, inside.shape), 1.0)
    array = LUNG_HU + (TISSUE_HU - LUNG_HU) * inside + 40 * texture / texture.std()
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = [-(n - 1) / 2 * mm for n, mm in zip(size, spacing_mm, strict=True)]
    return Volume(((array + 1000) * gain - 1000 + shift)[None].astype(np.float32), matrix, modality="CT")


def malignant(volume):
    settings = ClassificationSettings(
        "nodule-malignancy", (Region("ras", (-8, 8, -8, 8, -8, 8)),), device="cpu", precision="fp32"
    )
    result = run(settings, [volume])
    return result.predictions[0].probabilities[result.names.index("malignant")]


@pytest.mark.parametrize(("diameter_mm", "verdict"), [(4.0, False), (26.0, True)])
@pytest.mark.parametrize(
    "mapping",
    [{}, {"shift": 50.0}, {"shift": -50.0}, {"gain": 1.1}, {"gain": 0.9}, {"spacing_mm": (0.6, 0.6, 2.0)}],
    ids=["as trained", "brighter", "darker", "stretched", "squeezed", "finer grid"],
)
def test_the_verdict_stays_under_other_readings_of_the_grey_values(diameter_mm, verdict, mapping):
    assert (malignant(a_nodule(diameter_mm, **mapping)) > 0.5) is verdict


def test_the_larger_nodule_is_the_more_suspicious():
    small, middle, large = (malignant(a_nodule(mm)) for mm in (4.0, 12.0, 26.0))
    assert small < middle < large
