"""The FROC curve, its seven operating points, the CPM, and their bootstrap intervals, as LUNA16 has them.

For every probability that occurs, the curve has the sensitivity (found nodules by all nodules of the
listed scans, missed ones included) against the false positives per scan (over all listed scans, those
without marks included), of the nodules and false positives with at least that probability; equal
probabilities are one point. It begins at (0, 0) and is linear between points. At the rate of a
vertical step its value is the upper end. Beyond its last point it stays level: a detector that never
makes 8 false positives per scan has there the sensitivity that it reached; without any false positive
the curve is level from the first rate on.

The CPM is the mean of the sensitivities at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan.

Where LUNA16's script ``noduleCADEvaluationLUNA16.py`` leaves a choice or differs:

- It writes the curve at 10,001 rates and no CPM; none of those rates is exactly 1/4, 1/2, 1, 2 or 4.
  Here the curve is read at the seven rates themselves.
- It gets false positives per scan from false positive *rates*, times their number again. Where a step
  lies exactly at an operating point (with 888 scans, 111 false positives are 1/8), rounding there may
  take the lower end of the step. Here counts are divided once.
- Its bootstrap draws as many scans as there are with replacement, 1,000 times, and takes the 26th and
  976th of the sorted sensitivities at each rate; so does this one, and does the same with the CPM of
  each draw (the seven sensitivities of one draw belong together). A draw without any nodule has no
  sensitivity and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...progress import Progress, advance
from .luna import Judgement, Verdict

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which the CPM takes the sensitivity."""

BAND_RATES = 2.0 ** np.linspace(-3, 3, 97)
"""Where the bootstrap reads its curves: 16 steps an octave, with ``RATES`` exactly among them."""

RESAMPLES = 1000
CONFIDENCE = 0.95

REPORT_EVERY = 50
"""Draws between two reports of progress: about 20 a second apart with 60,000 marks."""


@dataclass(frozen=True)
class Froc:
    """Points of the curve from the highest threshold to the lowest, three arrays of shape ``(points,)``.

    Parameters
    ----------
    rate:
        False positives per scan, ascending from 0.
    sensitivity:
        0..1, ascending from 0.
    threshold:
        The lowest probability that counts at each point; inf at the first.
    """

    rate: np.ndarray
    sensitivity: np.ndarray
    threshold: np.ndarray

    def at(self, rates: tuple[float, ...] | np.ndarray) -> np.ndarray:
        """The sensitivity at rates above 0."""
        return np.interp(rates, self.rate, self.sensitivity)

    def corners(self) -> Froc:
        """The same curve without the points inside level runs, which most are."""
        moves = np.diff(self.sensitivity) != 0
        keep = np.concatenate(([True], moves)) | np.concatenate((moves, [True]))
        return Froc(self.rate[keep], self.sensitivity[keep], self.threshold[keep])


class FrocEvents:
    """Found nodules and false positives in the order of their probability, ready for many curves.

    Parameters
    ----------
    judgement:
        With at least one nodule in its scans.
    """

    def __init__(self, judgement: Judgement) -> None:
        found, false = judgement.found, judgement.verdict == Verdict.FALSE_POSITIVE
        probability = np.concatenate((judgement.nodule_probability[found], judgement.mark_probability[false]))
        order = np.argsort(-probability, kind="stable")
        probability = probability[order]
        self._is_nodule = order < found.sum()
        self._scan = np.concatenate((judgement.nodule_scan[found], judgement.mark_scan[false]))[order]
        self._last_of_equals = np.flatnonzero(np.diff(probability, append=-np.inf))
        self._threshold = np.concatenate(([np.inf], probability[self._last_of_equals]))
        self.nodules = np.bincount(judgement.nodule_scan[judgement.listed], minlength=judgement.scans)
        """Shape ``(scans,)``: how many nodules each has."""

    def curve(self, times: np.ndarray | None = None) -> Froc:
        """The curve of the scans, each counted ``times`` (shape ``(scans,)``, integers; None: once)."""
        times = np.ones(len(self.nodules), dtype=int) if times is None else times
        weight = times[self._scan]
        hits, false = (self._sums(np.where(mask, weight, 0)) for mask in (self._is_nodule, ~self._is_nodule))
        return Froc(false / times.sum(), hits / (times @ self.nodules), self._threshold)

    def _sums(self, counts: np.ndarray) -> np.ndarray:
        """How many there are from each threshold on."""
        return np.concatenate(([0], np.cumsum(counts)[self._last_of_equals]))


def draws(scans: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each scan was drawn, shape ``(scans,)``, for each of the bootstrap's draws with replacement."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(scans, size=scans), minlength=scans)


def bootstrap_sensitivities(
    events: FrocEvents, rates: np.ndarray, progress: Progress, *, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Sensitivities at ``rates`` of every draw that holds a nodule, shape ``(draws, rates)``.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    rows = []
    for n, times in enumerate(draws(len(events.nodules), resamples=resamples, seed=seed)):
        if n % REPORT_EVERY == 0:
            advance(progress, n / resamples, "Drawing scans")
        if times @ events.nodules:
            rows.append(events.curve(times).at(rates))
    return np.array(rows).reshape(-1, len(rates))


def percentile_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the 95 % interval along the first axis, picked as LUNA16's script does.

    Of 1,000 values, these are the 26th and the 976th in ascending order.
    """
    ordered = np.sort(values, axis=0)
    tail = (1 - CONFIDENCE) / 2
    low, high = (math.floor(share * len(ordered) + 1e-9) for share in (tail, 1 - tail))  # 0.975 * 1000 is 975
    return ordered[low], ordered[high]
