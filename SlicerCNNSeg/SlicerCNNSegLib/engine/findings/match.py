"""What became of a nodule between two dates, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .growth import Growth


@dataclass(frozen=True)
class Match:
    """What became of a nodule.

    Parameters
    ----------
    earlier, later:
        Ids at both dates; None where it is not there.
    verdict:
        ``new``, ``gone``, ``grown``, ``shrunk``, ``stable``; ``""`` where a volume is missing.
    distance_mm:
        Between both places after alignment.
    growth:
        How its volume changed.
    """

    earlier: str | None
    later: str | None
    verdict: str
    distance_mm: float | None = None
    growth: Growth | None = None

    def to_json(self) -> dict[str, Any]:
        """The plain form; what is infinite is None, which JSON has no number for."""
        plain = asdict(self)
        if self.growth is not None:
            plain["growth"]["doubling_days"] = _finite(self.growth.doubling_days)
            plain["growth"]["doubling_days_95"] = [_finite(x) for x in self.growth.doubling_days_95]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Match:
        """From the plain form."""
        values = dict(plain)
        if values["growth"] is not None:
            change = dict(values["growth"])
            low, high = change["change_95"]
            change["change_95"] = (low, high)
            shortest, longest = map(_number, change["doubling_days_95"])
            change.update(doubling_days=_number(change["doubling_days"]), doubling_days_95=(shortest, longest))
            values["growth"] = Growth(**change)
        return cls(**values)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(value: float | None) -> float:
    return math.inf if value is None else value
