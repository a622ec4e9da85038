"""A result back from the files of its case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileReadError
from ..findings.finding import Finding
from ..labels import Label
from ..result import RunRecord, SegmentationResult
from .follow_up import FINDINGS_RECORD
from .outputs import RECORD_SUFFIX, read_record

if TYPE_CHECKING:
    from ..detection.result import DetectionResult
    from ..files.labelmaps import LabelmapFile

LATER = ("choice",)
"""What records of the first runs lack."""

WITH_LABELS = ".seg.nrrd"
"""The format that keeps names, colours and codes."""


def read_result(record_path: Path) -> SegmentationResult:
    """The segmentation whose run record this is.

    Parameters
    ----------
    record_path:
        The ``.run.json`` of a case; the ``.seg.nrrd`` that it names lies beside it.

    Raises
    ------
    FileReadError
        It is no run record, names no ``.seg.nrrd``, or that cannot be read.
    """
    _, record, file = _read(record_path, RECORD_SUFFIX)
    return SegmentationResult(file.labelmap, file.geometry, file.labels, record)


def read_detection(record_path: Path) -> DetectionResult:
    """The detection whose run record this is: its findings, without the candidates below the threshold.

    Parameters
    ----------
    record_path:
        The ``.findings.run.json`` of a case; the ``.findings.seg.nrrd`` that it names lies beside it.

    Raises
    ------
    FileReadError
        It is no run record, names no ``.seg.nrrd``, or that cannot be read.
    """
    from ..detection.result import DetectionResult

    plain, record, file = _read(record_path, FINDINGS_RECORD)
    try:
        findings = tuple(Finding.from_json(row) for row in plain["findings"])
        threshold = float(plain["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileReadError(f"The run record {record_path} lacks {error}; run the case again.") from error
    label = Label(1, "Finding", (0.5, 0.5, 0.5))
    if file.labels:
        first = file.labels[0]
        label = replace(first, name=first.name.removesuffix(f" {findings[first.value - 1].id}"))
    return DetectionResult(findings, threshold, file.labelmap, file.geometry, label, record, None)


def _read(path: Path, suffix: str) -> tuple[Mapping[str, Any], RunRecord, LabelmapFile]:
    """A case's record in plain form, what of it is a run's, and the labelmap."""
    from ..files.labelmaps import read_labelmap

    plain = read_record(path)
    if plain is None or not path.name.endswith(suffix):
        raise FileReadError(f"{path} is no run record; expected the {suffix} file of a case.")
    # a record names files of its own folder; whatever else it may say is not followed
    names = [Path(name).name for name in plain["outputs"] if name.endswith(WITH_LABELS)]
    if not names:
        raise FileReadError(f"{path} names no {WITH_LABELS} file; run again with --format seg.nrrd.")
    try:
        values = {field.name: plain[field.name] for field in fields(RunRecord) if field.name not in LATER}
    except KeyError as error:
        raise FileReadError(f"The run record {path} lacks {error}; run the case again.") from error
    values |= {name: plain[name] for name in LATER if name in plain}
    values |= {"inputs": tuple(values["inputs"]), "warnings": tuple(values["warnings"])}
    return plain, RunRecord(**values), read_labelmap(path.parent / names[0])
