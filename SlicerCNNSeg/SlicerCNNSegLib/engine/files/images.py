"""Images from files: the one door for reading a volume."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileReadError, GeometryError
from ..progress import Progress
from ..volume import Geometry, Volume
from .dicom import is_dicom_file, read_file, read_series
from .itk import itk_cause, quiet_itk
from .paths import suffix
from .regrid import without_shear

NIFTI = (".nii.gz", ".nii")
JPEG = (".jpg", ".jpeg")
JPEG_END = b"\xff\xd9"
READABLE = (*NIFTI, ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", *JPEG)
"""Suffixes of the formats whose truncation is noticed. ITK reads more, but makes a volume out of half a
file in some: it fills up NIfTI, JPEG and BMP, and drops pages of TIFF. The first two are checked here."""

NIFTI_UNIT_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Length units of ``xyzt_units`` (NIfTI-1): metre, millimetre, micrometre; 0 is unknown, taken as mm."""

CHUNK_BYTES = 1 << 20


def read_volume(path: Path | str, *, series: str = "", progress: Progress | None = None) -> Volume:
    """Read an image file, a DICOM file or a DICOM folder.

    Parameters
    ----------
    path:
        NIfTI, NRRD, MetaImage, PNG, JPEG, one DICOM file, or a folder with DICOM files.
    series:
        SeriesInstanceUID to take from a DICOM folder with several.
    progress:
        Told how many slices of a DICOM series are read.

    Returns
    -------
    Volume
        On a regular, orthogonal grid; ``notes`` say what had to be resampled for that.

    Raises
    ------
    FileReadError
        The file is missing, empty, truncated or of no known kind.
    DicomError
        The folder gives no volume, or more than one.
    GeometryError
        The image has a fourth dimension.
    """
    path = Path(path)
    if path.is_dir():
        return read_series(path, series, progress)
    if series:
        raise FileReadError(f"Expected a DICOM folder to choose series {series} from, got the file {path}.")
    if not path.is_file():
        raise FileReadError(f"No file or folder {path}; check the path.")
    if is_dicom_file(path):
        return read_file(path)
    volume = read_grid(path)[0]
    return without_shear(volume, "shear of the axes")


def read_grid(path: Path) -> tuple[Volume, dict[str, str]]:
    """An image file as it is, sheared or not, and its header's key-value pairs.

    Raises
    ------
    FileReadError, GeometryError
        As ``read_volume``.
    """
    _check_file(path)
    with quiet_itk(), _permissive_nifti():
        try:
            image = _read_3d(path)
        except RuntimeError as error:
            raise FileReadError(
                f"Cannot read {path} ({itk_cause(error)}); the file is damaged, truncated or not what its suffix "
                "says: export or copy it again."
            ) from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if suffix(path) in NIFTI:
        _check_complete(path, header)
    if np.issubdtype(sitk.GetArrayViewFromImage(image).dtype, np.complexfloating):
        raise FileReadError(f"Expected real numbers in {path}, got complex ones; export its magnitude.")
    volume = Volume.from_sitk(image, source=str(path))
    return (_with_sform(volume, header) if suffix(path) in NIFTI else volume), header


def _check_file(path: Path) -> None:
    """Raise ``FileReadError`` unless the file has content, a known suffix and, for JPEG, an end."""
    if suffix(path) not in READABLE:
        raise FileReadError(
            f"Expected a DICOM file or a suffix out of {', '.join(READABLE)}, got {path}; convert it to one of them."
        )
    if path.stat().st_size == 0:
        raise FileReadError(f"The file {path} is empty; export or copy it again.")
    if suffix(path) in JPEG and JPEG_END not in path.read_bytes()[-CHUNK_BYTES:]:
        raise FileReadError(f"The JPEG file {path} is truncated (no end marker); export or copy it again.")


def _read_3d(path: Path) -> sitk.Image:
    """The image with trailing dimensions of size 1 dropped."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = list(reader.GetSize())
    if len(size) > 3:
        if max(size[3:]) > 1:
            raise GeometryError(
                f"Expected a 2-D or 3-D image, got {len(size)} dimensions of sizes {tuple(size)} in {path}; "
                "split it into volumes first, one per time point or channel."
            )
        reader.SetExtractSize(size[:3] + [0] * (len(size) - 3))
    return reader.Execute()


@contextmanager
def _permissive_nifti() -> Iterator[None]:
    """ITK reading sheared NIfTI instead of refusing it.

    ITK takes the permission from an environment variable alone; ``_with_sform`` then puts the true
    axes in place of the orthogonal ones that ITK makes up.
    """
    name = "ITK_NIFTI_SFORM_PERMISSIVE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _check_complete(path: Path, header: dict[str, str]) -> None:
    """Raise ``FileReadError`` when a NIfTI file is shorter than its header says or its checksum is wrong.

    ITK fills what is missing with zeros and says nothing. Unpacking a second time is the price:
    0.3 s for a CT of 66 MB unpacked, of 0.5 s in all.
    """
    sizes = [int(header[f"dim[{n}]"]) for n in range(1, int(header["dim[0]"]) + 1)]
    expected = int(float(header["vox_offset"])) + int(np.prod(sizes)) * int(header["bitpix"]) // 8
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        found = _unpacked_size(path) if packed else path.stat().st_size
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileReadError(f"The file {path} is damaged or truncated ({error}); export or copy it again.") from error
    if found < expected:
        raise FileReadError(
            f"The file {path} is truncated: expected {expected} bytes, got {found}; export or copy it again."
        )


def _unpacked_size(path: Path) -> int:
    """Number of bytes in a gzip file, every checksum verified on the way."""
    total = 0
    with gzip.open(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            total += len(chunk)
    return total


def _with_sform(volume: Volume, header: dict[str, str]) -> Volume:
    """A NIfTI's volume with the header's own axes where ITK bent them, and a note where two disagree.

    ``sform`` holds where it is sheared or alone. Where an orthogonal ``sform`` and a ``qform`` differ,
    ITK's choice stays: Slicer reads with ITK too, and an image and its mask must lie at one place in both.
    """
    if int(header["sform_code"]) <= 0:
        return volume
    unit = NIFTI_UNIT_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    rows = [[float(number) * unit for number in header[f"srow_{axis}"].split()] for axis in "xyz"]
    sform = Geometry(volume.geometry.shape_kji, np.array([*rows, [0, 0, 0, 1]]))
    bent = sform.is_sheared or header.get("ITK_sform_corrected") == "YES"
    if not bent and sform.matches(volume.geometry, tolerance_mm=float(sform.spacing_mm.min()) / 10):
        return volume  # ITK's numbers are finer: it gives the header out with six digits
    if bent or int(header["qform_code"]) <= 0:
        return replace(volume, ijk_to_ras=sform.ijk_to_ras)
    note = "the header's sform and qform disagree: placed as ITK and 3D Slicer place it"
    return replace(volume, notes=(*volume.notes, note))
