"""Which finding of one date is which of the other, and what became of each (heavy: scipy)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from .finding import REJECTED, Finding
from .growth import GONE, NEW, VOLUME_ERROR, growth
from .match import Match
from .registration import Alignment

GATE_MM = 15.0
"""Findings whose cost is as high are two: breathing moves the lower lobes by up to that after a rigid alignment."""

SIZE_MM = 5.0
"""What a difference in diameter by a factor of e costs, in mm: a nodule that doubles its volume costs 1.2 mm."""


def match_findings(
    earlier: Sequence[Finding],
    later: Sequence[Finding],
    alignment: Alignment,
    days: float,
    volume_error: float = VOLUME_ERROR,
) -> list[Match]:
    """Pair the findings of two dates so that distances and differences in size are smallest together.

    Rejected findings are left out. A pair costs its distance in mm plus ``SIZE_MM`` for every factor e between the
    diameters; from ``GATE_MM`` on it is none.

    Parameters
    ----------
    earlier, later:
        Findings of both dates.
    alignment:
        From the later date to the earlier one.
    days:
        Between them.
    volume_error:
        Relative standard deviation of a volume, see ``growth``.

    Returns
    -------
    list of Match
        Pairs and new findings in the later date's order, then those that are gone.

    Raises
    ------
    SettingsError
        Days or error make no sense.
    """
    earlier, later = ([x for x in findings if x.status != REJECTED] for findings in (earlier, later))
    then = np.array([x.center_ras_mm for x in earlier]).reshape(-1, 3)
    now = alignment.earlier_from_later(np.array([x.center_ras_mm for x in later]).reshape(-1, 3))
    apart_mm = np.linalg.norm(now[:, np.newaxis] - then, axis=-1)
    sizes_now, sizes_then = (np.log([_diameter_mm(x) for x in findings]) for findings in (later, earlier))
    cost = apart_mm + SIZE_MM * np.abs(sizes_now[:, np.newaxis] - sizes_then)
    # a cost at the gate is what being unpaired costs, so no far pair can push a near one away
    rows, columns = linear_sum_assignment(np.minimum(cost, GATE_MM))
    partner = {int(row): int(column) for row, column in zip(rows, columns, strict=True) if cost[row, column] < GATE_MM}
    matches = []
    for row, finding in enumerate(later):
        if row not in partner:
            matches.append(Match(None, finding.id, NEW))
            continue
        before = earlier[partner[row]]
        change = None
        if before.measurements is not None and finding.measurements is not None:
            change = growth(before.measurements.volume_mm3, finding.measurements.volume_mm3, days, volume_error)
        verdict = "" if change is None else change.verdict
        matches.append(Match(before.id, finding.id, verdict, float(apart_mm[row, partner[row]]), change))
    paired = set(partner.values())
    return matches + [Match(x.id, None, GONE) for n, x in enumerate(earlier) if n not in paired]


def _diameter_mm(finding: Finding) -> float:
    """Of a ball of the finding's volume; its box's ellipsoid where it was not measured."""
    measured = finding.measurements
    volume_mm3 = finding.box.volume_mm3 * math.pi / 6 if measured is None else measured.volume_mm3
    return float(np.cbrt(6 * volume_mm3 / math.pi))
