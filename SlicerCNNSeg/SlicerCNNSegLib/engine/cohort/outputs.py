"""What files a case gets, and how they are written, checked and cleared.

For the case ``a`` segmented into the folder ``out``: ``out/a.seg.nrrd`` (and further formats), ``out/a.png``
with a report, and ``out/a.run.json``: the run record with the SHA-256 of every file beside it. The record
is put in place last, so a case without a record is not done. ``out/volumes.csv`` lists the
structures of every case that has a record there. What a classification leaves: ``classes.py``; a detection:
``detections.py``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..errors import OutputError
from ..files.atomic import replacing
from ..result import SegmentationResult
from ..volume import Volume

RECORD_SUFFIX = ".run.json"
REPORT_SUFFIX = ".png"
TABLE_NAME = "volumes.csv"
ROWS_KEYS = ("volumes", "classes", "findings")
"""Where the records of the tasks keep their rows."""


class CasePlan(ABC):
    """Where a task's outputs go and which; a task says what a case's files are, and what rows its table has.

    ``rows_key`` is where a record keeps the rows; ``record_suffix`` and ``table_name`` name the files, so that
    tasks may share a folder.
    """

    folder: Path
    name: str
    rows_key: ClassVar[str]
    record_suffix: ClassVar[str]
    table_name: ClassVar[str]

    @property
    @abstractmethod
    def suffixes(self) -> tuple[str, ...]:
        """Of a case's files, without the record's."""

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked beyond the settings, for the record: a case that was done with something else is done anew."""
        return {}

    def told(self, result: Any) -> dict[str, Any]:
        """What else of the result goes into the record."""
        return {}

    @abstractmethod
    def write(self, part: Path, suffix: str, case_id: str, volume: Volume, result: Any) -> None:
        """Write one of the files, told by its suffix; ``part`` takes its place afterwards."""

    @abstractmethod
    def rows(self, result: Any) -> list[dict[str, Any]]:
        """The result's rows in plain form, for the record and the table."""

    @abstractmethod
    def write_rows(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the table: the rows of all cases, each with its ``case``."""

    def path(self, case_id: str, suffix: str) -> Path:
        """The case's file of that suffix."""
        return self.folder / f"{self.name or case_id}{suffix}"

    def record(self, case_id: str) -> Path:
        """The case's run record."""
        return self.path(case_id, self.record_suffix)

    def files(self, case_id: str) -> tuple[Path, ...]:
        """The case's files, without the record."""
        return tuple(self.path(case_id, suffix) for suffix in self.suffixes)

    @property
    def table(self) -> Path:
        """The table of all cases; that of a single named case carries its name."""
        return self.folder / (f"{self.name}.{self.table_name}" if self.name else self.table_name)

    def prepare(self) -> None:
        """Make the folder and try to write to it.

        Raises
        ------
        OutputError
            It cannot be made or written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise OutputError(
                f"Cannot write to the folder {self.folder} ({reason}); choose another with -o."
            ) from error


@dataclass(frozen=True)
class OutputPlan(CasePlan):
    """Where the outputs of a segmentation go and which.

    Parameters
    ----------
    folder:
        Made when it is not there.
    formats:
        Suffixes of the labelmap's files, without the first dot.
    report:
        Write a picture of the overlay.
    name:
        Base name of the files instead of the case's id, for a single case whose file was named.
    """

    folder: Path
    formats: tuple[str, ...] = ("seg.nrrd",)
    report: bool = False
    name: str = ""

    rows_key: ClassVar[str] = "volumes"
    record_suffix: ClassVar[str] = RECORD_SUFFIX
    table_name: ClassVar[str] = TABLE_NAME

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the labelmaps and, if wanted, the picture."""
        return (*(f".{suffix}" for suffix in self.formats), *([REPORT_SUFFIX] if self.report else ()))

    def write(self, part: Path, suffix: str, case_id: str, volume: Volume, result: SegmentationResult) -> None:
        """Write a labelmap or the picture."""
        if suffix == REPORT_SUFFIX:
            from ..picture.report import write_overlay

            write_overlay(part, volume, result)
        else:
            from ..files.labelmaps import write_labelmap

            write_labelmap(part, result.labelmap, result.geometry, result.labels)

    def rows(self, result: SegmentationResult) -> list[dict[str, Any]]:
        """One for each structure."""
        return structure_rows(result)

    def write_rows(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the table of volumes."""
        from .tables import write_volumes_csv

        write_volumes_csv(path, rows)


def write_case(plan: CasePlan, case_id: str, volume: Volume, result: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """Write all files of a case, or none.

    Parameters
    ----------
    volume:
        What the task ran on, for pictures.
    result:
        The task's.
    more:
        What else goes into the record (the case and its input files).

    Returns
    -------
    dict
        The record as written.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    record_path = plan.record(case_id)
    paths = plan.files(case_id)
    new = [path for path in (record_path, *paths) if not path.exists()]
    try:
        with ExitStack() as stack:
            # files go into place in the reverse order, so the record comes last
            record_part = stack.enter_context(replacing(record_path))
            parts = {path.name: stack.enter_context(replacing(path)) for path in paths}
            for suffix, part in zip(plan.suffixes, parts.values(), strict=True):
                plan.write(part, suffix, case_id, volume, result)
            record: dict[str, Any] = {
                **more,
                **result.record.to_json(),
                **plan.told(result),
                plan.rows_key: plan.rows(result),
                "outputs": {name: sha256(part) for name, part in parts.items()},
            }
            record_part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    return json.loads(json.dumps(record))


def structure_rows(result: SegmentationResult) -> list[dict[str, Any]]:
    """The result's structures in plain form: label (value), name, voxels, volume_mm3."""
    return [
        {"label": x.value, "name": x.name, "voxels": x.voxels, "volume_mm3": round(x.volume_mm3, 3)}
        for x in result.structures
    ]


def read_record(path: Path) -> dict[str, Any] | None:
    """A run record, or None when there is none or it cannot be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(record, dict) and isinstance(record.get("outputs"), dict) and "case" in record
    return record if known and any(isinstance(record.get(key), list) for key in ROWS_KEYS) else None


def is_intact(plan: CasePlan, case_id: str, record: Mapping[str, Any]) -> bool:
    """Whether every file that is wanted stands in the record and every file of the record is unchanged."""
    sums: Mapping[str, str] = record["outputs"]
    wanted = {path.name for path in plan.files(case_id)}
    return wanted <= sums.keys() and all(
        (plan.folder / name).is_file() and sha256(plan.folder / name) == value for name, value in sums.items()
    )


def clear_case(plan: CasePlan, case_id: str) -> None:
    """Remove what an earlier run wrote for the case, and nothing else: never show an old mask as new.

    Raises
    ------
    OutputError
        A file cannot be removed.
    """
    record_path = plan.record(case_id)
    record = read_record(record_path)
    if record is None:
        return
    try:
        # a record names files of its own folder; whatever else it may say is not followed
        for name in record["outputs"]:
            (plan.folder / Path(name).name).unlink(missing_ok=True)
        record_path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot remove the earlier outputs of {case_id} ({error}); remove them by hand.") from error


def write_table(plan: CasePlan) -> Path | None:
    """Write the table of every case in the folder; None when there is none.

    Raises
    ------
    OutputError
        The table cannot be written.
    """
    paths = [plan.record("")] if plan.name else sorted(plan.folder.glob(f"*{plan.record_suffix}"))
    records = [record for record in map(read_record, paths) if record and plan.rows_key in record]
    if not records:
        plan.table.unlink(missing_ok=True)
        return None
    plan.write_rows(plan.table, [{"case": r["case"], **row} for r in records for row in r[plan.rows_key]])
    return plan.table


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """What tells whether an input changed: SHA-256 over the names, sizes and times of its files.

    Contents are not read: a cohort's images are large, and a change leaves a new time or size.
    """
    files: Iterable[Path] = sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]
    lines = []
    for file in files:
        stat = file.stat()
        lines.append(f"{file.relative_to(path.parent)}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
