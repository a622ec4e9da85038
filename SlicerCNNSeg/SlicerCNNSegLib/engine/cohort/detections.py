"""What files a case gets that nodules were looked for in.

For the case ``a`` in the folder ``out``: ``out/a.findings.csv`` and ``out/a.findings.json`` with the findings,
``out/a.findings.html`` with their pictures, ``out/a.findings.seg.nrrd`` with a segment of each,
``out/a.candidates.csv`` with everything from the model's lowest score on, in LUNA16's form, and the record
``out/a.findings.run.json``; with an earlier date ``out/a.followup.json``. ``out/findings.csv`` has a row for each case
and finding. Names differ from those of the other tasks, so all may share a folder.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..detection.result import DetectionResult
from ..files.atomic import replacing
from ..findings.finding import Finding
from ..findings.tables import COLUMNS, finding_row, write_findings_csv, write_findings_json
from ..volume import Volume
from .follow_up import FINDINGS_RECORD, FINDINGS_SUFFIX, FollowUp
from .outputs import CasePlan

TABLE_SUFFIX, PAGE_SUFFIX, SEGMENTS_SUFFIX = ".findings.csv", ".findings.html", ".findings.seg.nrrd"
CANDIDATES_SUFFIX, FOLLOW_UP_SUFFIX = ".candidates.csv", ".followup.json"
SERIES_UID = "SeriesInstanceUID"


@dataclass(frozen=True)
class DetectionPlan(CasePlan):
    """Where the outputs of a detection go and which.

    Parameters
    ----------
    folder:
        Made when it is not there.
    model:
        Title of the model, for the page.
    prior:
        What was found earlier, to compare with.
    name:
        As in ``OutputPlan``.
    """

    folder: Path
    model: str = ""
    prior: FollowUp | None = None
    name: str = ""
    rows_key: ClassVar[str] = "findings"
    record_suffix: ClassVar[str] = FINDINGS_RECORD
    table_name: ClassVar[str] = "findings.csv"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of tables, page and segments and, with an earlier date, the comparison."""
        always = (TABLE_SUFFIX, FINDINGS_SUFFIX, PAGE_SUFFIX, SEGMENTS_SUFFIX, CANDIDATES_SUFFIX)
        return (*always, FOLLOW_UP_SUFFIX) if self.prior else always

    @property
    def asked(self) -> dict[str, Any]:
        """The earlier date."""
        return {"prior": str(self.prior.folder.absolute()), "days": self.prior.days} if self.prior else {}

    def told(self, result: DetectionResult) -> dict[str, Any]:
        """The threshold, which may be the model's."""
        return {"threshold": result.threshold}

    def write(self, part: Path, suffix: str, case_id: str, volume: Volume, result: DetectionResult) -> None:
        """Write one of the files."""
        if suffix == PAGE_SUFFIX:
            self._write_page(part, case_id, volume, result)
        elif suffix == SEGMENTS_SUFFIX:
            from ..files.labelmaps import write_labelmap

            write_labelmap(part, result.finding_labelmap(), result.geometry, result.finding_labels)
        elif suffix == FINDINGS_SUFFIX:
            write_findings_json(part, result.findings)
        elif suffix == TABLE_SUFFIX:
            write_findings_csv(part, result.findings)
        elif suffix == FOLLOW_UP_SUFFIX:
            self._write_follow_up(part, case_id, volume, result)
        else:
            from ..findings.boxes import marks_of, write_marks

            found, series = result.candidates, volume.identifiers.get(SERIES_UID, case_id)
            write_marks(part, marks_of(series, [one.box for one in found], [one.score for one in found]))

    def rows(self, result: DetectionResult) -> list[dict[str, Any]]:
        """One for each finding."""
        return result.rows()

    def write_rows(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the table of all cases' findings."""
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ("case", *COLUMNS), lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({"case": row["case"], **finding_row(Finding.from_json(row))})

    def _write_page(self, part: Path, case_id: str, volume: Volume, result: DetectionResult) -> None:
        from ..findings.key_images import key_image_png
        from ..findings.page import write_page

        pictures = {one.id: key_image_png(volume, one, result.nodules.get(one.id)) for one in result.findings}
        matches, warnings = self.prior.matches(case_id, volume, result) if self.prior else ([], ())
        record, below = result.record, len(result.candidates) - len(result.findings)
        write_page(
            part,
            result.findings,
            pictures,
            title=case_id,
            notes=(
                f"{self.model or record.model_id}, version {record.model_version}, {record.started}.",
                f"Shown from a score of {result.threshold:g} on; {below} candidates have less.",
            ),
            warnings=(*record.warnings, *warnings),
            matches=matches,
        )

    def _write_follow_up(self, part: Path, case_id: str, volume: Volume, result: DetectionResult) -> None:
        assert self.prior is not None
        matches, warnings = self.prior.matches(case_id, volume, result)
        plain = {
            "case": case_id,
            "prior": str(self.prior.folder),
            "days": self.prior.days,
            "warnings": list(warnings),
            "matches": [match.to_json() for match in matches],
        }
        part.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
