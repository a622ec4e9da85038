"""DICOM series made for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SeriesWriter = Callable[..., list[Path]]


def slice_dataset(pixels: np.ndarray, **attributes: object) -> Dataset:
    """A CT slice (rows, columns) of 0.5 mm x 0.8 mm (rows apart, columns apart); ``attributes`` go on top."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelSpacing = [0.5, 0.8]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, 0]
    dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


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
            slice_dataset(np.asarray(pixels), **{**shared, **place, **own}).save_as(
                files[-1], enforce_file_format=True
            )
        return files

    return write
