"""What ITK takes on trust in MetaImage files: how many dimensions there are, and that all voxels are there."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

from ..errors import FileReadError

DIMENSIONS = 5
LONGEST_HEADER = 1 << 16
CHUNK_BYTES = 1 << 20

BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4}
BYTES |= dict.fromkeys(("LONG", "ULONG", "LONG_LONG", "ULONG_LONG", "DOUBLE"), 8)
"""Of one number of each ``ElementType``, ``MET_`` in front."""


def check_metaimage(path: Path) -> None:
    """Raise ``FileReadError`` unless the header makes sense and the voxels behind it are as many as it says.

    ITK crashes on a wrong number of dimensions, and makes up what a compressed block is short of. Voxels in
    files of their own (``.mhd``) are left to ITK. Source: the MetaIO documentation, "MetaImage tags".
    """
    with path.open("rb") as file:
        fields, start = _header(file.read(LONGEST_HEADER))
    for wanted in ("NDims", "DimSize", "ElementType", "ElementDataFile"):
        if wanted not in fields:
            raise FileReadError(f"Expected {wanted} in the header of {path}, found none; export the file again.")
    sizes = [int(word) if word.isdecimal() and len(word) < 10 else 0 for word in fields["DimSize"].split()]
    if fields["NDims"] != str(len(sizes)) or not 1 <= len(sizes) <= DIMENSIONS or min(sizes) < 1:
        raise FileReadError(
            f"Expected NDims sizes of at least 1 in DimSize of {path}, got {fields['NDims'][:20]!r} and "
            f"{fields['DimSize'][:60]!r}; export the file again."
        )
    kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
    if fields["ElementDataFile"] != "LOCAL" or kind not in BYTES or fields.get("BinaryData", "True") != "True":
        return
    expected = math.prod(sizes) * int(fields.get("ElementNumberOfChannels", "1")) * BYTES[kind]
    found = _unpacked(path, start) if fields.get("CompressedData") == "True" else path.stat().st_size - start
    if found < expected:
        raise FileReadError(
            f"The file {path} is damaged or truncated: expected {expected} bytes of voxels, got {found}; "
            "export or copy it again."
        )


def _header(head: bytes) -> tuple[dict[str, str], int]:
    """The fields up to ``ElementDataFile``, the last one, and the place behind it."""
    fields: dict[str, str] = {}
    place = 0
    while place < len(head) and "ElementDataFile" not in fields:
        end = head.find(b"\n", place) % (len(head) + 1)
        key, _, value = head[place:end].decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        place = end + 1
    return fields, place


def _unpacked(path: Path, start: int) -> int:
    """How many bytes the zlib stream at that place holds."""
    stream, count = zlib.decompressobj(), 0
    with path.open("rb") as file:
        file.seek(start)
        try:
            while chunk := file.read(CHUNK_BYTES):
                count += len(stream.decompress(chunk))
        except zlib.error as error:
            raise FileReadError(f"The file {path} is damaged ({error}); export or copy it again.") from error
    return count
