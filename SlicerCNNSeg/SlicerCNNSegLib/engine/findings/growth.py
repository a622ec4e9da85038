"""How a nodule changed between two dates, and how sure that is.

A segmentation errs by some share of the volume each time. With independent errors of standard deviation s in the
logarithm of both volumes, the logarithm of their ratio has s times the square root of 2; everything below follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import SettingsError

GROWN, SHRUNK, STABLE, NEW, GONE = "grown", "shrunk", "stable", "new", "gone"

GROWTH = 0.25
"""Smallest rise in volume that counts as growth: the NELSON trial's (van Klaveren et al., N Engl J Med 361:2221,
2009). A fall to 1 / 1.25 counts as shrinking."""

NORMAL_95 = 1.959963984540054
"""Standard deviations to each side that hold 95 % of a normal distribution."""

VOLUME_ERROR = math.log1p(GROWTH) / (NORMAL_95 * math.sqrt(2))
"""Standard deviation of the logarithm of one volume where nobody states another: 0.0805, or 8 %. With it, 25 % is
just what two measurements of an unchanged nodule stay within in 95 % of cases, which is NELSON's reason for it."""

ROUNDING = 1e-12
"""Keeps a rise of just 25 % one despite binary fractions."""


@dataclass(frozen=True)
class Growth:
    """The change from the earlier volume to the later one.

    Parameters
    ----------
    verdict:
        ``grown``, ``shrunk`` or ``stable``.
    change:
        Relative change in volume, 0.25 for a quarter more.
    change_95:
        Both ends of its 95 % interval.
    doubling_days:
        Volume-doubling time; below 0 where the nodule shrank (days to half), infinite where nothing changed.
    doubling_days_95:
        The shortest and the longest doubling time within the interval; the longest is infinite where the
        interval holds no growth at all, and both are infinite where it holds nothing but shrinking.
    """

    verdict: str
    change: float
    change_95: tuple[float, float]
    doubling_days: float
    doubling_days_95: tuple[float, float]


def growth(earlier_mm3: float, later_mm3: float, days: float, volume_error: float = VOLUME_ERROR) -> Growth:
    """The change between two volumes of one nodule.

    ``doubling = days * ln 2 / ln(later / earlier)`` (Schwartz, Cancer 14:1272, 1961).

    Parameters
    ----------
    earlier_mm3, later_mm3:
        Both volumes.
    days:
        Between them.
    volume_error:
        Standard deviation of the logarithm of a volume, for small errors their relative standard deviation.

    Raises
    ------
    SettingsError
        A volume or the days are not above 0, or the error is below 0.
    """
    numbers = (earlier_mm3, later_mm3, days)
    if not all(math.isfinite(n) and n > 0 for n in numbers) or not (math.isfinite(volume_error) and volume_error >= 0):
        raise SettingsError(
            f"Expected two volumes and days above 0 and an error of at least 0, got {earlier_mm3} and {later_mm3} mm3, "
            f"{days} days and an error of {volume_error}; check the dates and the findings."
        )
    ratio = math.log(later_mm3 / earlier_mm3)
    reach = NORMAL_95 * math.sqrt(2) * volume_error
    limit = max(math.log1p(GROWTH), reach)
    verdict = GROWN if ratio >= limit - ROUNDING else SHRUNK if ratio <= ROUNDING - limit else STABLE
    low, high = ratio - reach, ratio + reach
    return Growth(
        verdict,
        math.expm1(ratio),
        (math.expm1(low), math.expm1(high)),
        _doubling(ratio, days),
        (_doubling(max(high, 0.0), days), _doubling(max(low, 0.0), days)),
    )


def _doubling(ratio: float, days: float) -> float:
    """Days in which a volume doubles at this logarithm of its ratio."""
    return days * math.log(2) / ratio if ratio else math.inf
