"""LUNA16's protocol read straight from its text: plain loops and exact fractions, nothing of the engine's.

Tables are lists of tuples: findings ``(series, x, y, z, diameter_mm)``, marks ``(series, x, y, z, probability)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

Row = tuple[str, float, float, float, float]
RATES = [Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2), Fraction(4), Fraction(8)]


@dataclass
class Scan:
    """What one scan adds: probabilities of found nodules and of false positives, and how many nodules it has."""

    found: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    nodules: int = 0
    hits: int = 0
    ignored: int = 0
    over_limit: int = 0
    features: set[str] = field(default_factory=set)


def is_hit(mark: Row, finding: Row) -> bool:
    diameter = finding[4] if finding[4] >= 0 else 10.0
    distance = (finding[1] - mark[1]) ** 2 + (finding[2] - mark[2]) ** 2 + (finding[3] - mark[3]) ** 2
    return distance < (diameter / 2) ** 2


def read_scan(uid: str, included: Sequence[Row], excluded: Sequence[Row], marks: Sequence[Row]) -> Scan:
    """Judge the marks of one scan."""
    scan = Scan()
    marks = [mark for mark in marks if mark[0] == uid]
    included = [finding for finding in included if finding[0] == uid]
    excluded = [finding for finding in excluded if finding[0] == uid]
    everything = len(marks)
    if everything > 100:
        limit = sorted((mark[4] for mark in marks), reverse=True)[100]
        marks = [mark for mark in marks if mark[4] > limit]
        scan.features.add("over 100 marks" if len(marks) == 100 else "a tie at the limit")
    scan.over_limit = everything - len(marks)
    left = list(range(len(marks)))
    for finding in included:
        scan.nodules += 1
        on_it = [n for n, mark in enumerate(marks) if is_hit(mark, finding)]
        if on_it:
            scan.found.append(max(marks[n][4] for n in on_it))
        if any(n not in left for n in on_it):
            scan.features.add("one mark on two nodules")
        if len(on_it) > 1:
            scan.features.add("two marks on one nodule")
        left = [n for n in left if n not in on_it]
    scan.hits = len(marks) - len(left)
    for finding in excluded:
        on_it = [n for n, mark in enumerate(marks) if is_hit(mark, finding)]
        if any(n not in left for n in on_it):
            scan.features.add("excluded overlap")
        scan.ignored += sum(n in left for n in on_it)
        left = [n for n in left if n not in on_it]
    scan.false = [marks[n][4] for n in left]
    return scan


def curve(scans: Sequence[Scan]) -> list[tuple[Fraction, Fraction]]:
    """False positives per scan and sensitivity from (0, 0) on, one point for each probability that occurs."""
    found = [p for scan in scans for p in scan.found]
    false = [p for scan in scans for p in scan.false]
    nodules = sum(scan.nodules for scan in scans)
    points = [(Fraction(0), Fraction(0))]
    for threshold in sorted({*found, *false}, reverse=True):
        rate = Fraction(sum(p >= threshold for p in false), len(scans))
        points.append((rate, Fraction(sum(p >= threshold for p in found), nodules)))
    return points


def sensitivity_at(points: Sequence[tuple[Fraction, Fraction]], rate: Fraction) -> Fraction:
    """The upper end of a step at the rate, else on the line between its neighbours, else the last value."""
    reached = [point for point in points if point[0] <= rate]
    beyond = [point for point in points if point[0] > rate]
    (x0, y0) = reached[-1]
    if x0 == rate or not beyond:
        return y0
    x1, y1 = beyond[0]
    return y0 + (y1 - y0) * (rate - x0) / (x1 - x0)


def operating_points(scans: Sequence[Scan]) -> list[Fraction]:
    points = curve(scans)
    return [sensitivity_at(points, rate) for rate in RATES]
