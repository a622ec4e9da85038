"""A result back from the files of its case."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ..errors import FileReadError
from ..result import RunRecord, SegmentationResult
from .outputs import RECORD_SUFFIX, read_record

WITH_LABELS = ".seg.nrrd"
"""The format that keeps names, colours and codes."""


def read_result(record_path: Path) -> SegmentationResult:
    """The result whose run record this is.

    Parameters
    ----------
    record_path:
        The ``.run.json`` of a case; the ``.seg.nrrd`` that it names lies beside it.

    Raises
    ------
    FileReadError
        It is no run record, names no ``.seg.nrrd``, or that cannot be read.
    """
    from ..files.labelmaps import read_labelmap

    plain = read_record(record_path)
    if plain is None or not record_path.name.endswith(RECORD_SUFFIX):
        raise FileReadError(f"{record_path} is no run record; expected the {RECORD_SUFFIX} file of a case.")
    # a record names files of its own folder; whatever else it may say is not followed
    names = [Path(name).name for name in plain["outputs"] if name.endswith(WITH_LABELS)]
    if not names:
        raise FileReadError(f"{record_path} names no {WITH_LABELS} file; run again with --format seg.nrrd.")
    try:
        values = {field.name: plain[field.name] for field in fields(RunRecord)}
    except KeyError as error:
        raise FileReadError(f"The run record {record_path} lacks {error}; run the case again.") from error
    values |= {"inputs": tuple(values["inputs"]), "warnings": tuple(values["warnings"])}
    file = read_labelmap(record_path.parent / names[0])
    return SegmentationResult(file.labelmap, file.geometry, file.labels, RunRecord(**values))
