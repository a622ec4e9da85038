"""Measures over scans against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from SlicerCNNSegLib.engine.evaluation.detection.luna import judge
from SlicerCNNSegLib.engine.evaluation.detection.scan_level import scan_level_measures
from SlicerCNNSegLib.engine.evaluation.detection.tables import NO_POINTS, Points


def table(rows) -> Points:
    """Rows ``(scan, x, value)``."""
    center_mm = np.array([(x, 0.0, 0.0) for _, x, _ in rows]).reshape(-1, 3)
    return Points(tuple(scan for scan, *_ in rows), center_mm, np.array([row[2] for row in rows], float))


@pytest.mark.parametrize("seed", range(20))
def test_equal_scikit_learns_of_each_scans_highest_probability(seed):
    rng = np.random.default_rng(seed)
    series = [f"s{n}" for n in range(30)]
    positive = rng.permutation(30) < 12
    marks = [(rng.choice(series[:27]), 50.0, round(rng.random(), 1)) for _ in range(40)]  # ties; scans without marks
    score = [max([p for uid, _, p in marks if uid == name], default=-1.0) for name in series]
    nodules = [(name, 0.0, 8.0) for name, has in zip(series, positive, strict=True) if has]
    measures = scan_level_measures(judge(series, table(nodules), NO_POINTS, table(marks)))
    assert measures == {
        "scans": 30,
        "positive_scans": 12,
        "average_precision": pytest.approx(average_precision_score(positive, score)),
        "auroc": pytest.approx(roc_auc_score(positive, score)),
    }


def test_marks_on_excluded_findings_and_in_unlisted_scans_do_not_count():
    nodules, marks = table([("a", 0.0, 8.0)]), table([("a", 0.0, 0.5), ("b", 0.0, 0.9), ("c", 0.0, 0.99)])
    assert scan_level_measures(judge(["a", "b"], nodules, NO_POINTS, marks))["auroc"] == 0
    assert scan_level_measures(judge(["a", "b"], nodules, table([("b", 0.0, -1.0)]), marks))["auroc"] == 1


def test_undefined_when_all_scans_are_positive():
    measures = scan_level_measures(judge(["a"], table([("a", 0.0, 8.0)]), NO_POINTS, table([("a", 0.0, 0.5)])))
    assert measures == {"scans": 1, "positive_scans": 1, "average_precision": None, "auroc": None}
