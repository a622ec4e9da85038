"""Whether a DICOM file's pixels stand where its header ends, and are all there."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ..errors import DicomError

PIXEL_DATA = (0x7FE0, 0x0010)
UNDEFINED_LENGTH = 0xFFFFFFFF
"""Of compressed pixels, which are in pieces (DICOM PS3.5 A.4)."""

SIZE_TAGS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames")

BEST_COMPRESSION = 4096
"""Times that compressed pixels may grow: more than any image in use, and few enough for any memory."""


def check_pixels(file: Path) -> None:
    """Raise ``DicomError`` where the pixels are not as many as the header says, before they are read.

    GDCM, which reads them, loses itself in a file whose elements have wrong lengths: it takes a minute or a
    gigabyte, and then says that the format is unknown.
    """
    with file.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break the standard without harm are common
        header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(SIZE_TAGS))
        syntax = header.file_meta.get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            return  # the place in the file is not that in its unpacked content
        implicit, little = header.original_encoding
        head = stream.read(8 if implicit else 12)
        left = file.stat().st_size - stream.tell()
    order = "<" if little else ">"
    form = f"{order}HHI" if implicit else f"{order}HH4xI"
    group, element, length = struct.unpack(form, head) if len(head) == struct.calcsize(form) else (0, 0, 0)
    if (group, element) != PIXEL_DATA:
        raise DicomError(f"Expected pixels behind the header of {file}, found none; it is damaged: export it again.")
    rows, columns, samples, bits, frames = (int(header.get(tag) or 1) for tag in SIZE_TAGS)
    expected = rows * columns * samples * bits * frames // 8
    if length == UNDEFINED_LENGTH:
        expected, length = expected // BEST_COMPRESSION, left
    if not expected <= length <= left:
        raise DicomError(
            f"The file {file} is damaged or truncated: expected at least {expected} bytes of pixels, got "
            f"{min(length, left)}; export it again."
        )
