"""The picture of a heat map: where the heat is drawn, and what is written below."""

import numpy as np
import pytest
from matplotlib.image import imread

from SlicerCNNSegLib.engine.classification.result import ClassificationResult, Explanation, Prediction
from SlicerCNNSegLib.engine.errors import GeometryError
from SlicerCNNSegLib.engine.labels import ClassLabel
from SlicerCNNSegLib.engine.picture.heat import OPACITY, draw_heat, write_heat
from SlicerCNNSegLib.engine.result import RunRecord
from SlicerCNNSegLib.engine.volume import Volume

RECORD = RunRecord("classification", "m", "1.0", "", {}, "cpu", "fp32", {}, (), {}, (), "2026-01-01T00:00:00+00:00")


def result_of(image, heat, **more):
    explanation = None if heat is None else Explanation("gradcam", "layer4", ("ill",), heat, **more)
    prediction = Prediction("", (0, 0, 0), image.geometry.size_ijk, (0.25, 0.75))
    return ClassificationResult(
        (ClassLabel("well"), ClassLabel("ill")), (prediction,), image.geometry, RECORD, explanation
    )


def test_heat_lies_where_it_is_in_each_plane(tmp_path):
    image = Volume(np.random.default_rng(0).random((1, 12, 14, 16)).astype(np.float32), np.eye(4))
    heat = np.zeros((12, 14, 16), np.float32)
    heat[3, 4, 5] = 1
    figure = draw_heat(image, result_of(image, heat, similarity=0.1, passed=True))
    whole = [axes for axes in figure.axes if "larger" not in axes.get_title(loc="left")]
    wanted = {
        "Axial": (14 - 1 - 4, 16 - 1 - 5),
        "Coronal": (12 - 1 - 3, 16 - 1 - 5),
        "Sagittal": (12 - 1 - 3, 14 - 1 - 4),
    }
    assert len(whole) == 3
    for axes in whole:
        colored = np.asarray(axes.get_images()[1].get_array())
        place = np.unravel_index(colored[..., 3].argmax(), colored.shape[:2])
        assert place == wanted[axes.get_title(loc="left").split(",")[0]]
        assert colored[..., 3].max() == pytest.approx(OPACITY)
        assert np.count_nonzero(colored[..., 3]) == 1
    texts = [text.get_text() for text in figure.texts]
    assert "ill 0.750, well 0.250; explained: ill" in texts
    assert any("depends on what was learned" in text for text in texts)
    write_heat(tmp_path / "heat.png", image, result_of(image, heat))
    assert imread(tmp_path / "heat.png").std() > 0.05


def test_a_picture_of_several_channels_is_drawn_as_their_mean():
    image = Volume(np.stack([np.full((1, 6, 8), value, np.uint8) for value in (0, 30, 90)]), np.eye(4))
    image.array[:, 0, 2, 3] = 255
    figure = draw_heat(image, result_of(image, np.zeros((1, 6, 8), np.float32)))
    drawn = np.asarray(figure.axes[0].get_images()[0].get_array())
    assert sorted(np.unique(drawn)) == [40, 255]


def test_without_a_heat_map_on_the_images_grid_there_is_no_picture():
    image = Volume(np.zeros((1, 4, 4, 4), np.float32), np.eye(4))
    other = Volume(image.array, 2 * np.eye(4) - np.diag([0, 0, 0, 1.0]))
    with pytest.raises(GeometryError, match=r"Expected a heat map on the grid of the image"):
        draw_heat(image, result_of(image, None))
    with pytest.raises(GeometryError, match=r"Expected a heat map on the grid of the image"):
        draw_heat(other, result_of(image, np.zeros((4, 4, 4), np.float32)))
