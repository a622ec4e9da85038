"""The pictures: what is drawn, by scikit-learn's curves, and what the legend says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread
from sklearn import metrics as oracle
from tiny_tables import KINDS, random_table, table_of

from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.evaluation.classification.curves import precision_recall_curve, roc_curve
from SlicerCNNSegLib.engine.evaluation.classification.evaluate import evaluate_classification
from SlicerCNNSegLib.engine.evaluation.classification.plot import (
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    write_plots,
)
from SlicerCNNSegLib.engine.evaluation.classification.plot_style import COLORS, OTHERS
from SlicerCNNSegLib.engine.evaluation.classification.tables import BINARY, MULTI_CLASS, MULTI_LABEL

evaluate = partial(evaluate_classification, resamples=300)
"""Quick: the pictures show whichever intervals there are."""


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def curves(figure) -> list:
    """The lines of curves, without guides and dots."""
    return [line for line in figure.axes[0].lines if line.get_linewidth() in (1.6, 0.9) and len(line.get_xdata()) > 2]


@pytest.mark.parametrize("decimals", [1, 6])
def test_curves_are_those_of_scikit_learn(decimals):
    table = random_table(BINARY, decimals=decimals)
    truth, scores = table.truth[:, 0], table.probabilities[:, 0]
    fpr, tpr, _ = oracle.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(truth, scores), (fpr, tpr))
    recall, precision = precision_recall_curve(truth, scores)
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(oracle.average_precision_score(truth, scores))
    points = {
        (round(r, 9), round(p, 9)) for p, r in zip(*oracle.precision_recall_curve(truth, scores)[:2], strict=True)
    }
    assert {(round(r, 9), round(p, 9)) for r, p in zip(recall[1:], precision[1:], strict=True)} <= points
    assert (recall[0], recall[-1]) == (0, 1)
    assert (np.diff(recall[1:]) > 0).all()


def test_roc_shows_the_curve_its_area_and_the_decision():
    table = random_table(BINARY)
    evaluation = evaluate(table)
    figure = draw_roc([table], evaluation)
    (curve,) = curves(figure)
    np.testing.assert_allclose(curve.get_xydata().T, roc_curve(table.truth[:, 0], table.probabilities[:, 0]))
    entries = evaluation["models"][0]["classes"]["c1"]
    low, high = entries["auc"]["ci95"]
    assert legend(figure) == [f"c1: AUC {entries['auc']['value']:.3f} [{low:.3f}, {high:.3f}]"]
    (dot,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dot.get_xydata()[0] == pytest.approx((1 - entries["specificity"]["value"], entries["sensitivity"]["value"]))


def test_two_models_have_lines_of_their_own():
    table = random_table(BINARY, skill=3)
    other = table_of(BINARY, table.truth, table.probabilities**2 / 2, name="other")
    evaluation = evaluate(table, other)
    figure = draw_roc([table, other], evaluation)
    assert [text.partition(":")[0] for text in legend(figure)] == ["model", "other"]
    assert len({line.get_linestyle() for line in curves(figure)}) == 2
    assert [to_hex(line.get_color()) for line in curves(figure)] == list(COLORS[:2])


def test_precision_recall_shows_the_share_of_positives():
    table = random_table(MULTI_LABEL)
    figure = draw_precision_recall([table], evaluate(table))
    guides = sorted(line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":")
    assert guides == pytest.approx(sorted(table.truth.mean(axis=0)))
    assert len(curves(figure)) == len(legend(figure)) == 3


def test_reliability_shows_bins_and_how_full_they_are():
    table = random_table(MULTI_CLASS)
    evaluation = evaluate(table, bins=5)
    figure = draw_reliability([table], evaluation)
    filled = [each for each in evaluation["models"][0]["reliability"]["highest"] if each["cases"]]
    (curve,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    expected = [(each["probability"], each["positives"] / each["cases"]) for each in filled]
    np.testing.assert_allclose(curve.get_xydata(), expected)
    assert sum(figure.axes[1].patches[0].get_data().values) == 120
    assert legend(figure)[0].startswith("model: ECE ")
    assert figure.axes[0].get_position().width == pytest.approx(figure.axes[1].get_position().width)


def test_of_many_classes_those_with_the_lowest_areas_are_named():
    rng = np.random.default_rng(0)
    truth = rng.random((300, 11)) < 0.4
    noise = np.arange(11) / 11
    table = table_of(MULTI_LABEL, truth, truth * (1 - noise) / 2 + rng.random((300, 11)) / 2)
    evaluation = evaluate(table)
    figure = draw_roc([table], evaluation)
    *named, others = legend(figure)
    assert [text.partition(":")[0] for text in named] == [f"c{n}" for n in range(3, 11)]
    assert others == "3 others, with higher AUC"
    assert [to_hex(line.get_color()) for line in curves(figure)] == [OTHERS] * 3 + list(COLORS)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_written_as_png_and_svg(tmp_path, kind):
    table = random_table(kind, name="cost in $ and $")  # no formula
    other = random_table(kind, name="other")
    files = write_plots(tmp_path / "plots", [table, other], evaluate(table, other))
    names = ["precision_recall", "reliability", "roc"]
    assert sorted(path.name for path in files) == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(path.name for path in files)
    for path in files:
        if path.suffix == ".png":
            height, width, _ = imread(path).shape
            assert width > 1000
            assert height > 900
        else:
            assert ET.parse(path).getroot().tag.endswith("svg")


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    table = random_table(BINARY)
    with pytest.raises(OutputError, match=r"Cannot write .*roc\.png"):
        write_plots(tmp_path / "file", [table], evaluate(table))
