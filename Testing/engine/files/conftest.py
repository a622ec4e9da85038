"""DICOM series made for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from engine.files.made_dicom import slice_dataset
from pydicom.uid import generate_uid

SeriesWriter = Callable[..., list[Path]]


@pytest.fixture
def write_series(tmp_path: Path) -> SeriesWriter:
    """A function that writes slices at LPS positions as one series and returns the files.

    ``changes`` maps a slice's number to attributes that it alone has.
    """

    def write(
        slices: Sequence[np.ndarray],
        positions: Sequence[Sequence[float]],
        folder: Path = tmp_path,
        changes: dict[int, dict[str, object]] | None = None,
        **attributes: object,
    ) -> list[Path]:
        shared = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), **attributes}
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for number, (pixels, position) in enumerate(zip(slices, positions, strict=True)):
            place = {"ImagePositionPatient": [float(f"{p:.10g}") for p in position], "InstanceNumber": number + 1}
            own = (changes or {}).get(number, {})
            files.append(folder / f"{shared['SeriesInstanceUID'][-6:]}_{number:03}.dcm")
            slice_dataset(np.asarray(pixels), **{**shared, **place, **own}).save_as(files[-1], enforce_file_format=True)
        return files

    return write
