"""Average precision of boxes in closed form."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.evaluation.detection.boxes import box_average_precision
from SlicerCNNSegLib.engine.evaluation.detection.luna import judge
from SlicerCNNSegLib.engine.evaluation.detection.tables import NO_POINTS, Points

IOUS = ("0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40", "0.45", "0.50")


def table(rows, sizes=None) -> Points:
    """Rows ``(scan, x, value)``."""
    center_mm = np.array([(x, 0.0, 0.0) for _, x, _ in rows]).reshape(-1, 3)
    return Points(tuple(scan for scan, *_ in rows), center_mm, np.array([row[2] for row in rows], float), sizes)


def precision(nodules, marks, size_mm=10.0, excluded=NO_POINTS, nodule_sizes=None) -> dict[str, float] | None:
    included = table(nodules, nodule_sizes)
    marks = table(marks, np.broadcast_to(size_mm, (len(marks), 3)))
    return box_average_precision(judge(["a", "b", "c"], included, excluded, marks), included, marks)


@pytest.mark.parametrize(
    ("shift_mm", "iou"), [(0.0, 1.0), (4.0, 6 / 14), (5.0, 1 / 3), (7.0, 3 / 17), (9.0, 1 / 19), (20.0, 0.0)]
)
def test_a_mark_counts_up_to_its_overlap(shift_mm, iou):
    values = precision([("a", 0.0, 10.0)], [("a", shift_mm, 0.5)])
    assert values == {
        **{t: pytest.approx(float(float(t) <= iou)) for t in IOUS},
        "mean": pytest.approx(np.mean([float(t) <= iou for t in IOUS])),
    }


def test_half_of_the_nodules_give_the_recalls_up_to_one_half():
    values = precision([("a", 0.0, 10.0), ("b", 0.0, 10.0)], [("b", 0.0, 0.5)])
    assert values["mean"] == pytest.approx(51 / 101)  # of the recalls 0, .01 ... 1, those up to .50


def test_a_false_positive_above_lowers_the_precision_and_one_below_does_not():
    nodules = [("a", 0.0, 10.0)]
    assert precision(nodules, [("a", 0.0, 0.5), ("b", 0.0, 0.9)])["mean"] == pytest.approx(0.5)
    assert precision(nodules, [("a", 0.0, 0.5), ("b", 0.0, 0.1)])["mean"] == pytest.approx(1.0)


def test_a_second_mark_on_a_nodule_is_a_false_positive():
    nodules = [("a", 0.0, 10.0), ("b", 0.0, 10.0)]
    values = precision(nodules, [("a", 0.0, 0.9), ("a", 0.0, 0.8), ("b", 0.0, 0.7)])
    assert values["mean"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_marks_on_excluded_findings_alone_are_left_out():
    nodules, marks = [("a", 0.0, 10.0)], [("a", 0.0, 0.5), ("b", 0.0, 0.9)]
    assert precision(nodules, marks, excluded=table([("b", 1.0, -1.0)]))["mean"] == pytest.approx(1.0)


def test_sizes_of_the_table_come_before_the_diameter():
    nodules, marks = [("a", 0.0, 3.0)], [("a", 0.0, 0.5)]
    assert precision(nodules, marks, (4.0, 8.0, 2.0), nodule_sizes=np.array([[4.0, 8.0, 2.0]]))[
        "mean"
    ] == pytest.approx(1)
    assert precision(nodules, marks, (3.0, 3.0, 3.0), nodule_sizes=np.array([[30.0, 30.0, 30.0]]))["mean"] == 0


def test_an_unknown_diameter_is_10_mm():
    assert precision([("a", 0.0, -1.0)], [("a", 0.0, 0.5)], 10.0)["mean"] == pytest.approx(1.0)


def test_no_marks_are_a_precision_of_0_and_no_sizes_none_at_all():
    nodules = [("a", 0.0, 10.0)]
    assert set(precision(nodules, []).values()) == {0.0}
    included, marks = table(nodules), table([("a", 0.0, 0.5)])
    assert box_average_precision(judge(["a"], included, NO_POINTS, marks), included, marks) is None
