"""What the data check has to say, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.wording import listed

ERROR, WARNING = "error", "warning"

SHOWN_NAMES = 60
"""Characters for the names of cases in a finding's line; the report has them all."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Parameters
    ----------
    severity:
        ``error`` (training would fail, or its result be worth nothing) or ``warning``.
    kind:
        In one or two words, the same for all findings of one kind.
    cases:
        Ids of the cases concerned; none when it is about the data as a whole.
    message:
        What was found and what to do, without the cases.
    """

    severity: str
    kind: str
    cases: tuple[str, ...]
    message: str

    @property
    def text(self) -> str:
        """The message with the cases in front."""
        return f"{listed(self.cases, SHOWN_NAMES)}: {self.message}" if self.cases else self.message


@dataclass(frozen=True)
class CheckReport:
    """The data check's result, as plain data.

    Parameters
    ----------
    findings:
        Errors first.
    cases:
        A row per case: ``case``, ``patient``, ``part``, and, where it could be read, ``size``,
        ``spacing_mm`` and ``extent_mm`` along R, A, S, ``intensities`` (0.5th, 50th and 99.5th
        percentile per channel) and ``volumes_mm3`` by label value.
    structures:
        A row per label value: ``value``, ``name``, number of ``cases`` that hold it, ``share`` of all
        voxels, ``volume_mm3`` as smallest, median and largest where it occurs.
    """

    findings: tuple[Finding, ...]
    cases: tuple[Mapping[str, Any], ...]
    structures: tuple[Mapping[str, Any], ...]

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "errors": len(self.of(ERROR)),
            "warnings": len(self.of(WARNING)),
            "findings": [
                {"severity": f.severity, "kind": f.kind, "cases": list(f.cases), "message": f.message}
                for f in self.findings
            ],
            "structures": [dict(row) for row in self.structures],
            "cases": [dict(row) for row in self.cases],
        }

    def stop_at_errors(self) -> None:
        """Raise ``InputError`` with the first error when there is one."""
        errors = self.of(ERROR)
        if errors:
            more = f" ({len(errors)} errors in all)" if len(errors) > 1 else ""
            raise InputError(f"The data check found: {errors[0].text}{more}")
