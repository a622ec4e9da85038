"""Which marks hit which nodules, by the protocol of LUNA16 (Setio et al. 2017, doi:10.1016/j.media.2017.06.015).

The rules are those of the challenge's script ``noduleCADEvaluationLUNA16.py``:

- Of a scan with more than 100 marks, those with a probability strictly above the 101st are kept: fewer
  than 100 when the 101st is tied with others, none when all are equal.
- A mark hits a finding when the squared distance of their centres is strictly below ``(diameter / 2)``
  squared. A diameter below 0 stands for 10 mm; a diameter of 0 can never be hit.
- Included findings (the nodules) come first, then excluded ones. A mark within two nodules finds both.
  A found nodule counts once, with the highest probability of the marks that hit it; its other marks
  count neither for nor against.
- A mark that hits excluded findings only is ignored. Every other mark is a false positive.
- Findings and marks of scans that are not listed do not count.

Where the script leaves a choice or differs:

- It knows commas only; a heading in the list of scans would be a scan to it, and a scan listed twice
  would count twice. Here a heading is skipped and a repeated scan refused (``tables``).
- It stops, or gives NaN, when there is no mark, no hit or no nodule. Here no mark and no hit are a
  sensitivity of 0, and having no nodule is refused (``evaluate``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .tables import Points

MAX_MARKS = 100
"""Marks that count in one scan; the challenge's limit."""

UNKNOWN_DIAMETER_MM = 10.0
"""What a diameter below 0 stands for; the challenge's value (its excluded findings are written with -1)."""

UNLISTED = -1
"""The scan number of what lies in a scan that is not listed."""


class Verdict(IntEnum):
    """What becomes of a mark."""

    FALSE_POSITIVE = 0
    HIT = 1
    IGNORED = 2
    """On excluded findings, and on no nodule."""
    OVER_LIMIT = 3
    UNLISTED = 4


@dataclass(frozen=True)
class Judgement:
    """What became of every nodule and every mark, in the order in which they came.

    Parameters
    ----------
    scans:
        How many scans are listed.
    nodule_scan, mark_scan:
        Shapes ``(nodules,)`` and ``(marks,)``: numbers of scans, counted from 0 as they are listed, or
        ``UNLISTED``.
    nodule_probability:
        Shape ``(nodules,)``: the highest probability of the marks that hit it; -inf when missed.
    mark_probability, verdict:
        Shape ``(marks,)``; ``verdict`` holds values of ``Verdict``.
    """

    scans: int
    nodule_scan: np.ndarray
    nodule_probability: np.ndarray
    mark_scan: np.ndarray
    mark_probability: np.ndarray
    verdict: np.ndarray

    def count(self, verdict: Verdict) -> int:
        """How many marks have that verdict."""
        return int((self.verdict == verdict).sum())

    @property
    def listed(self) -> np.ndarray:
        """Shape ``(nodules,)``: which nodules lie in listed scans."""
        return self.nodule_scan != UNLISTED

    @property
    def found(self) -> np.ndarray:
        """Shape ``(nodules,)``: which nodules were hit."""
        return self.nodule_probability > -np.inf


def judge(
    series: Sequence[str], included: Points, excluded: Points, marks: Points, *, max_marks: int = MAX_MARKS
) -> Judgement:
    """Judge every mark; the rules are at the top of this file.

    Parameters
    ----------
    series:
        The scans, each once.
    included, excluded:
        Findings: nodules to be found, and those on which marks are ignored.
    marks:
        What a detector found.
    max_marks:
        Marks that count in one scan.
    """
    number = {uid: n for n, uid in enumerate(series)}
    scans = [np.array([number.get(uid, UNLISTED) for uid in p.series], dtype=int) for p in (included, excluded, marks)]
    nodules_of, excluded_of, marks_of = (_rows_of_scans(scan, len(series)) for scan in scans)
    verdict = np.full(len(marks), Verdict.UNLISTED, dtype=np.int8)
    nodule_probability = np.full(len(included), -np.inf)
    for here, nodules, others in zip(marks_of, nodules_of, excluded_of, strict=True):
        within = _within_limit(marks.value[here], max_marks)
        verdict[here[~within]] = Verdict.OVER_LIMIT
        kept = here[within]
        on_nodules, on_others = _hits(marks, kept, included, nodules), _hits(marks, kept, excluded, others)
        verdict[kept] = np.select(
            [on_nodules.any(axis=1), on_others.any(axis=1)], [Verdict.HIT, Verdict.IGNORED], Verdict.FALSE_POSITIVE
        )
        probability = np.where(on_nodules, marks.value[kept, np.newaxis], -np.inf)
        nodule_probability[nodules] = probability.max(axis=0, initial=-np.inf)
    return Judgement(len(series), scans[0], nodule_probability, scans[2], marks.value, verdict)


def radius_mm(diameter_mm: np.ndarray) -> np.ndarray:
    """Radius in mm of findings, an unknown diameter replaced."""
    return np.where(diameter_mm < 0, UNKNOWN_DIAMETER_MM, diameter_mm) / 2


def _rows_of_scans(scan: np.ndarray, scans: int) -> list[np.ndarray]:
    """The rows of each scan, in their order."""
    order = np.argsort(scan, kind="stable")
    return np.split(order, np.searchsorted(scan[order], np.arange(scans + 1)))[1:-1]


def _within_limit(probability: np.ndarray, max_marks: int) -> np.ndarray:
    """Which of one scan's marks are kept."""
    if len(probability) <= max_marks:
        return np.ones(len(probability), dtype=bool)
    return probability > np.sort(probability)[-(max_marks + 1)]


def _hits(marks: Points, kept: np.ndarray, findings: Points, rows: np.ndarray) -> np.ndarray:
    """Shape ``(marks kept, findings)``: which mark lies within which finding."""
    offset_mm = marks.center_mm[kept, np.newaxis] - findings.center_mm[rows]
    # x, then y, then z, as the script adds: a mark on the very edge must not depend on the order
    x, y, z = np.moveaxis(offset_mm**2, -1, 0)
    return x + y + z < radius_mm(findings.value[rows]) ** 2
