"""Findings against those of an earlier run: which are the same, which are new or gone, which have grown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..detection.result import DetectionResult
from ..errors import FileReadError, SettingsError
from ..volume import Volume

if TYPE_CHECKING:
    from ..findings.match import Match

FINDINGS_SUFFIX, FINDINGS_RECORD = ".findings.json", ".findings.run.json"


@dataclass(frozen=True)
class FollowUp:
    """What was found earlier, and when.

    Parameters
    ----------
    folder:
        Outputs of an earlier detection. A case is compared with the case of the same id there, or with the only one.
    days:
        Between both dates.
    """

    folder: Path
    days: float
    _last: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.days > 0:
            raise SettingsError(f"Expected days above 0 between the two dates, got {self.days}.")
        if not any(self.folder.glob(f"*{FINDINGS_RECORD}")):
            raise FileReadError(
                f"{self.folder} holds no detection: expected a CASE{FINDINGS_RECORD} in it; give the folder that an "
                "earlier 'cnnseg detect' wrote to."
            )

    def matches(self, case_id: str, volume: Volume, result: DetectionResult) -> tuple[list[Match], tuple[str, ...]]:
        """What became of each finding, and what a reader must know.

        Parameters
        ----------
        case_id, volume, result:
            The later date.

        Raises
        ------
        FileReadError
            The folder holds no such case, or its image has gone.
        InputError
            The two images cannot be compared.
        """
        if self._last.get("case") != case_id or self._last.get("result") is not result:
            self._last.update(case=case_id, result=result, found=self._matched(case_id, volume, result))
        found: tuple[list[Match], tuple[str, ...]] = self._last["found"]
        return found

    def _matched(self, case_id: str, volume: Volume, result: DetectionResult) -> tuple[list[Match], tuple[str, ...]]:
        from ..files.images import read_volume
        from ..findings.lungs import find_lungs
        from ..findings.matching import match_findings
        from ..findings.registration import align
        from ..findings.tables import read_findings_json

        record_path = self._record(case_id)
        record = json.loads(record_path.read_text(encoding="utf-8"))
        name = record_path.name.removesuffix(FINDINGS_RECORD)
        earlier = read_findings_json(record_path.with_name(f"{name}{FINDINGS_SUFFIX}"))
        before = read_volume(Path(record["input_files"][0]["path"]), series=record["input_files"][0]["series"])
        alignment = align(before, find_lungs(before), volume, result.lungs or find_lungs(volume))
        return match_findings(earlier, result.findings, alignment, self.days), alignment.warnings

    def _record(self, case_id: str) -> Path:
        same = self.folder / f"{case_id}{FINDINGS_RECORD}"
        records = [same] if same.exists() else sorted(self.folder.glob(f"*{FINDINGS_RECORD}"))
        if len(records) != 1:
            raise FileReadError(
                f"{self.folder} holds {len(records)} cases, none of them {case_id}; name the cases of both dates alike "
                "(the column 'case' of a table does that)."
            )
        return records[0]
