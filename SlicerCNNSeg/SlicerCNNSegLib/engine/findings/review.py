"""What may be asked about findings that are there already, and what comes back: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import SettingsError
from .finding import Finding
from .match import Match


@dataclass(frozen=True)
class ComparisonSettings:
    """Two dates of one patient, to be compared.

    Parameters
    ----------
    earlier, later:
        The findings of both dates; rejected ones do not take part. Their CTs are the volumes of the run, in this
        order.
    days:
        Between them.

    Raises
    ------
    SettingsError
        There are no days between the two dates.
    """

    earlier: tuple[Finding, ...]
    later: tuple[Finding, ...]
    days: float

    def __post_init__(self) -> None:
        if not self.days > 0:
            raise SettingsError(f"Expected days above 0 between the two dates, got {self.days}.")

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {"earlier": [x.id for x in self.earlier], "later": [x.id for x in self.later], "days": self.days}


@dataclass(frozen=True)
class Comparison:
    """What became of each finding.

    Parameters
    ----------
    matches:
        Pairs and new findings, then those that are gone.
    gone:
        The findings that are gone, with their boxes where they would be at the later date.
    warnings:
        What a reader must know.
    """

    matches: tuple[Match, ...]
    gone: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PageSettings:
    """A page of findings with their pictures; ``page.write_page`` explains the fields. The CT is the run's volume."""

    findings: tuple[Finding, ...]
    title: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {"title": self.title, "findings": [x.id for x in self.findings]}


@dataclass(frozen=True)
class Page:
    """A page of findings as HTML, with its pictures inside."""

    html: str
