"""LUNA16's protocol: 300 random cases against a straight reading, against scikit-learn's ROC, and closed forms."""

from __future__ import annotations

import random
from collections import Counter

import luna_reading as reading
import numpy as np
import pytest
from sklearn.metrics import roc_curve

from SlicerCNNSegLib.engine.evaluation.detection.curves import FrocEvents, draws
from SlicerCNNSegLib.engine.evaluation.detection.evaluate import evaluate_detection
from SlicerCNNSegLib.engine.evaluation.detection.luna import Judgement, Verdict, judge
from SlicerCNNSegLib.engine.evaluation.detection.tables import NO_POINTS, Points

CASES = 300
DRAWS = 5
FEATURES = {
    "over 100 marks",
    "a tie at the limit",
    "ties",
    "one mark on two nodules",
    "two marks on one nodule",
    "excluded overlap",
    "no false positive",
    "no hit",
    "no mark",
    "empty scan",
    "scan without marks",
    "scan that is not listed",
    "one scan",
}


class Case:
    """A small random evaluation on whole millimetres, where marks often lie exactly on a finding's edge."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.series = [f"s{n}" for n in range(rng.choice((1, 2, 3, 4, 5, 8)))]
        scans = [*self.series, "elsewhere"] if rng.random() < 0.3 else self.series
        self.included, self.excluded, self.marks = [], [], []
        probability = (lambda: rng.randint(0, 10) / 10) if rng.random() < 0.5 else rng.random
        good = rng.random() < 0.2  # marks on nodules only
        for uid in scans:
            nodules = [self.finding(rng, uid) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
            others = [self.finding(rng, uid) for _ in range(rng.choice((0, 1, 3)))]
            for near in nodules:
                if rng.random() < 0.4:
                    others.append(self.finding(rng, uid, near))
                if rng.random() < 0.3:
                    nodules.append(self.finding(rng, uid, near))
            number = rng.choice((0, 1, 4, 12, 101, 130)) if rng.random() < 0.3 else rng.choice((0, 2, 6))
            findings = nodules if good else nodules + others
            for _ in range(number if findings or not good else 0):
                near = rng.choice(findings) if findings and (good or rng.random() < 0.6) else None
                place = near[1:4] if good else self.place(rng, near)
                self.marks.append((uid, *place, probability()))
            self.included += nodules
            self.excluded += others
        rng.shuffle(self.marks)

    @staticmethod
    def place(rng: random.Random, near: reading.Row | None = None) -> tuple[float, float, float]:
        if near is None:
            return tuple(float(rng.randint(-40, 40)) for _ in range(3))
        return tuple(near[axis] + rng.randint(-3, 3) for axis in (1, 2, 3))

    def finding(self, rng: random.Random, uid: str, near: reading.Row | None = None) -> reading.Row:
        return (uid, *self.place(rng, near), rng.choice((-1.0, 0.0, 2.0, 4.0, 6.0, 10.0, 7.3)))

    @property
    def has_nodules(self) -> bool:
        return any(finding[0] in self.series for finding in self.included)

    def scans(self) -> list[reading.Scan]:
        return [reading.read_scan(uid, self.included, self.excluded, self.marks) for uid in self.series]

    def judge(self) -> Judgement:
        return judge(self.series, points(self.included), points(self.excluded), points(self.marks))

    def write(self, folder, separator: str) -> dict:
        """The four tables, as arguments of ``evaluate_detection``."""
        for name, rows, last in (
            ("annotations", self.included, "diameter_mm"),
            ("excluded", self.excluded, "diameter_mm"),
            ("predictions", self.marks, "probability"),
        ):
            lines = [("seriesuid", "coordX", "coordY", "coordZ", last), *rows]
            text = "\n".join(separator.join(map(str, line)) for line in lines)
            (folder / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        (folder / "series.csv").write_text("\n".join(self.series), encoding="utf-8")
        return {name: folder / f"{name}.csv" for name in ("annotations", "excluded", "series", "predictions")}

    def features(self, scans: list[reading.Scan]) -> set[str]:
        probabilities = [p for scan in scans for p in scan.found + scan.false]
        told = {
            "ties": len(set(probabilities)) < len(probabilities),
            "no false positive": not any(scan.false for scan in scans) and any(scan.found for scan in scans),
            "no hit": not any(scan.found for scan in scans) and any(scan.false for scan in scans),
            "no mark": not self.marks,
            "empty scan": any(not scan.nodules and not scan.false and not scan.ignored for scan in scans),
            "scan without marks": bool(set(self.series) - {mark[0] for mark in self.marks}),
            "scan that is not listed": any(mark[0] == "elsewhere" for mark in self.marks),
            "one scan": len(scans) == 1,
        }
        return {name for name, true in told.items() if true}.union(*(scan.features for scan in scans))


def points(rows: list[reading.Row]) -> Points:
    numbers = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 4)
    return Points(tuple(row[0] for row in rows), numbers[:, :3], numbers[:, 3])


def random_cases() -> list[Case]:
    cases = (case for seed in range(10 * CASES) if (case := Case(seed)).has_nodules)
    marked = (case for case in cases if not case.marks or {mark[0] for mark in case.marks} & set(case.series))
    return [next(marked) for _ in range(CASES)]


CASE_LIST = random_cases()


def test_the_random_cases_hold_everything_that_the_protocol_speaks_of():
    seen = Counter(feature for case in CASE_LIST for feature in case.features(case.scans()))
    assert len(CASE_LIST) == CASES
    assert set(seen) == FEATURES
    assert min(seen.values()) >= 5, seen


@pytest.mark.parametrize("block", range(10))
def test_equals_a_straight_reading_of_the_protocol(block, tmp_path):
    for number in range(block, CASES, 10):
        case = CASE_LIST[number]
        scans = case.scans()
        evaluation = evaluate_detection(
            **case.write(tmp_path, "\t" if number % 2 else ","), resamples=DRAWS, seed=number
        )
        froc, counts = evaluation["froc"], evaluation["counts"]
        expected = [float(value) for value in reading.operating_points(scans)]
        assert [point["sensitivity"] for point in froc["operating_points"]] == pytest.approx(expected, abs=1e-9, rel=0)
        assert froc["cpm"]["value"] == pytest.approx(sum(expected) / 7, abs=1e-9, rel=0)
        marks_elsewhere = sum(mark[0] == "elsewhere" for mark in case.marks)
        assert counts["marks"] == {
            "hits": sum(scan.hits for scan in scans),
            "false_positives": sum(len(scan.false) for scan in scans),
            "on_excluded_findings": sum(scan.ignored for scan in scans),
            "over_limit": sum(scan.over_limit for scan in scans),
            "in_unlisted_scans": marks_elsewhere,
        }
        nodules, found = sum(scan.nodules for scan in scans), sum(len(scan.found) for scan in scans)
        assert (counts["nodules"], counts["found"], counts["missed"]) == (nodules, found, nodules - found)
        assert len(evaluation["missed"]) == nodules - found
        check_intervals(froc, scans, seed=number)


def check_intervals(froc: dict, scans: list[reading.Scan], *, seed: int) -> None:
    """The bootstrap's intervals are those of the straight reading of the drawn scans, one after the other."""
    drawn = []
    for times in draws(len(scans), resamples=DRAWS, seed=seed) if len(scans) > 1 else ():
        repeated = [scan for scan, n in zip(scans, times, strict=True) for _ in range(n)]
        if any(scan.nodules for scan in repeated):
            drawn.append([float(value) for value in reading.operating_points(repeated)])
    assert froc["draws"] == len(drawn)
    if not drawn:
        assert froc["cpm"]["ci95"] is froc["band"] is froc["operating_points"][0]["ci95"] is None
        return
    # of up to 5 draws, the 2.5 and 97.5 % ends are the lowest and the highest
    means = [sum(row) / 7 for row in drawn]
    assert froc["cpm"]["ci95"] == pytest.approx([min(means), max(means)], abs=1e-9, rel=0)
    for point, values in zip(froc["operating_points"], zip(*drawn, strict=True), strict=True):
        assert point["ci95"] == pytest.approx([min(values), max(values)], abs=1e-9, rel=0)


def test_curve_equals_the_scripts_way_through_the_roc_curve():
    """LUNA16's script makes the curve from scikit-learn's ROC curve of found nodules against false positives."""
    rates = np.sort(np.random.default_rng(0).uniform(0.01, 12, 200))  # steps lie elsewhere: see test_detection_curves
    compared = 0
    for case in CASE_LIST:
        scans = case.scans()
        found = [p for scan in scans for p in scan.found]
        false = [p for scan in scans for p in scan.false]
        if not found or not false:
            continue  # the script gives NaN
        fpr, tpr, _ = roc_curve([1] * len(found) + [0] * len(false), found + false)
        fps, sensitivity = fpr * len(false) / len(scans), tpr * len(found) / sum(scan.nodules for scan in scans)
        ours = FrocEvents(case.judge()).curve().at(rates)
        assert ours == pytest.approx(np.interp(rates, fps, sensitivity), abs=1e-9, rel=0)
        compared += 1
    assert compared > CASES / 2


NODULE = [("s", 0.0, 0.0, 0.0, 10.0)]


def verdicts(marks: list[reading.Row], included=NODULE, excluded=()) -> list[int]:
    others = points(list(excluded)) if excluded else NO_POINTS
    return list(judge(["s"], points(list(included)), others, points(marks)).verdict)


def test_a_hit_is_strictly_within_the_radius():
    marks = [("s", 5.0, 0.0, 0.0, 0.5), ("s", np.nextafter(5.0, 0), 0.0, 0.0, 0.5), ("s", 3.0, 4.0, 0.0, 0.5)]
    assert verdicts(marks) == [Verdict.FALSE_POSITIVE, Verdict.HIT, Verdict.FALSE_POSITIVE]


@pytest.mark.parametrize(
    ("diameter_mm", "verdict"), [(-1, Verdict.HIT), (-30, Verdict.HIT), (0, 0), (9.9, Verdict.HIT)]
)
def test_a_diameter_below_0_is_10_mm_and_0_is_never_hit(diameter_mm, verdict):
    assert verdicts([("s", 0.0, 0.0, 4.9, 0.5)], [("s", 0.0, 0.0, 0.0, diameter_mm)]) == [verdict]
    assert verdicts([("s", 0.0, 0.0, 5.0, 0.5)], [("s", 0.0, 0.0, 0.0, diameter_mm)]) == [0]


def test_a_mark_on_a_nodule_and_an_excluded_finding_is_a_hit():
    excluded = [("s", 6.0, 0.0, 0.0, -1.0)]
    marks = [("s", 3.0, 0.0, 0.0, 0.5), ("s", 8.0, 0.0, 0.0, 0.5), ("s", 30.0, 0.0, 0.0, 0.5)]
    assert verdicts(marks, excluded=excluded) == [Verdict.HIT, Verdict.IGNORED, Verdict.FALSE_POSITIVE]


@pytest.mark.parametrize(
    ("probabilities", "kept"),
    [
        ([0.5] * 100, 100),
        ([0.5] * 101, 0),  # none is strictly above the 101st
        ([0.9] * 60 + [0.5] * 60, 60),
        (list(np.linspace(0, 1, 250)), 100),
    ],
)
def test_marks_strictly_above_the_101st_are_kept(probabilities, kept):
    marks = [("s", 0.0, 0.0, 0.0, probability) for probability in probabilities]
    assert verdicts(marks).count(Verdict.HIT) == kept
    assert verdicts(marks).count(Verdict.OVER_LIMIT) == len(marks) - kept


def test_the_limit_holds_for_each_scan_alone():
    marks = points([(uid, 90.0, 0.0, 0.0, p) for uid in "ab" for p in np.linspace(0, 1, 100)])
    judgement = judge(["a", "b"], points([("a", 0.0, 0.0, 0.0, 4.0)]), NO_POINTS, marks)
    assert judgement.count(Verdict.FALSE_POSITIVE) == 200
