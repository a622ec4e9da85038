"""Images from files: the one door for reading a volume."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileReadError, GeometryError
from ..progress import Progress
from ..volume import Volume
from .dicom import is_dicom_file, read_file, read_series
from .itk import itk_cause, quiet_itk
from .metaimage import check_metaimage
from .nifti import checked_nifti, permissive_nifti
from .paths import suffix
from .regrid import without_shear

NIFTI = (".nii.gz", ".nii")
JPEG = (".jpg", ".jpeg")
JPEG_END = b"\xff\xd9"
READABLE = (*NIFTI, ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", *JPEG)
"""Suffixes of the formats whose truncation is noticed. ITK reads more, but makes a volume out of half a
file in some: it fills up NIfTI, JPEG and BMP, and drops pages of TIFF. The first two are checked here."""

METAIMAGE = (".mha", ".mhd")
DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels may be in other files."""

JPEG_TAIL_BYTES = 1 << 20

BEST_COMPRESSION = 1032
"""Times that bytes may grow when they are unpacked (deflate's limit, as zlib's technical details give it)."""


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
    if path.is_file() and is_dicom_file(path):
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
    if suffix(path) in METAIMAGE:
        check_metaimage(path)
    with quiet_itk(), permissive_nifti():
        try:
            image = _read_3d(path)
        except RuntimeError as error:
            raise FileReadError(
                f"Cannot read {path} ({itk_cause(error)}); the file is damaged, truncated or not what its suffix "
                "says: export or copy it again."
            ) from error
    # a damaged header can have keys that are no text
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.isprintable()}
    if np.issubdtype(sitk.GetArrayViewFromImage(image).dtype, np.complexfloating):
        raise FileReadError(f"Expected real numbers in {path}, got complex ones; export its magnitude.")
    try:
        volume = Volume.from_sitk(image, source=str(path))
        return (checked_nifti(path, volume, header) if suffix(path) in NIFTI else volume), header
    except GeometryError as error:
        raise GeometryError(f"The header of {path} is damaged; export it again. {error}") from error


def _check_file(path: Path) -> None:
    """Raise ``FileReadError`` unless there is a file with content, a known suffix and, for JPEG, an end."""
    if not path.is_file():
        raise FileReadError(f"No file or folder {path}; check the path.")
    if suffix(path) not in READABLE:
        raise FileReadError(
            f"Expected a DICOM file or a suffix out of {', '.join(READABLE)}, got {path}; convert it to one of them."
        )
    if path.stat().st_size == 0:
        raise FileReadError(f"The file {path} is empty; export or copy it again.")
    if suffix(path) in JPEG and JPEG_END not in path.read_bytes()[-JPEG_TAIL_BYTES:]:
        raise FileReadError(f"The JPEG file {path} is truncated (no end marker); export or copy it again.")


def _read_3d(path: Path) -> sitk.Image:
    """The image with trailing dimensions of size 1 dropped."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = list(reader.GetSize())
    _check_claim(path, reader)
    if len(size) > 3:
        if max(size[3:]) > 1:
            raise GeometryError(
                f"Expected a 2-D or 3-D image, got {len(size)} dimensions of sizes {tuple(size)} in {path}; "
                "split it into volumes first, one per time point or channel."
            )
        reader.SetExtractSize(size[:3] + [0] * (len(size) - 3))
    return reader.Execute()


def _check_claim(path: Path, reader: sitk.ImageFileReader) -> None:
    """Raise ``FileReadError`` where more voxels are declared than the file can hold, before room is made for them."""
    kind = reader.GetPixelID()
    components = reader.GetNumberOfComponents() if "vector" in sitk.GetPixelIDValueAsString(kind) else 1
    voxel = sitk.GetArrayViewFromImage(sitk.Image([1, 1], kind, components))
    claimed, size = math.prod(reader.GetSize()) * voxel.nbytes, path.stat().st_size
    if claimed > BEST_COMPRESSION * size and suffix(path) not in DETACHED:
        raise FileReadError(
            f"The file {path} declares {claimed} bytes of voxels and has {size}; it is damaged or truncated: "
            "export or copy it again."
        )
