"""DICOM series from a folder: listed, never mixed, read onto a regular grid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom
from pydicom.uid import MediaStorageDirectoryStorage

from ..errors import DicomError, FileReadError
from ..progress import NoProgress, Progress, advance
from ..volume import Volume
from ..wording import elided, printable
from .itk import itk_cause, quiet_itk
from .pixel_data import check_pixels
from .regrid import evenly_spaced, without_shear
from .slices import GEOMETRY_TAGS, Slice, slices_of
from .stacks import Stack, stack

DERIVED_MODALITIES = ("SEG", "RTDOSE", "PR", "KO", "SR", "RTSTRUCT", "RTPLAN", "REG", "RWV")
"""Modalities of objects about images; some have pixels, none is an image to look into."""

LISTED_TAGS = ("SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesNumber", "Rows")
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesDescription")


@dataclass(frozen=True)
class SeriesInfo:
    """One series of a folder.

    Parameters
    ----------
    uid:
        SeriesInstanceUID.
    modality, description:
        For people to choose by.
    files:
        In order of name.
    is_image:
        Whether it can be read as a volume; segmentations, reports and the like can not.
    """

    uid: str
    modality: str
    description: str
    files: tuple[Path, ...]
    is_image: bool

    def __str__(self) -> str:
        what = self.modality or "no modality", self.description or "no description", f"{len(self.files)} file(s)"
        return f"{self.uid} ({', '.join(what)})"


def is_dicom_file(path: Path) -> bool:
    """Whether the file has DICOM's preamble.

    Raises
    ------
    FileReadError
        It cannot be opened.
    """
    try:
        return is_dicom(path)
    except OSError as error:
        raise FileReadError(f"Cannot read {path}: {error.strerror or error}; check its permissions.") from error


def list_series(folder: Path | str) -> list[SeriesInfo]:
    """The series in a folder and the folders below it, sorted by series number and UID.

    Files of one series UID but several modalities (seen with reports stored beside their images) are
    listed apart. Files that are no DICOM are passed over.

    Raises
    ------
    FileReadError
        There is no such folder.
    DicomError
        It holds no DICOM file, or a damaged one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileReadError(f"No folder {folder}; check the path.")
    found: dict[tuple[str, str], list[tuple[Path, Dataset]]] = {}
    looked_at = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        looked_at += 1
        if not is_dicom_file(file):
            continue
        header = _header(file, LISTED_TAGS)
        if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            continue  # a DICOMDIR lists the files that we are looking at
        if not header.get("SeriesInstanceUID"):  # pydicom gives what it finds in half a header
            raise DicomError(
                f"Expected a SeriesInstanceUID in {file}, found none; the file is damaged: export it again."
            )
        key = str(header.SeriesInstanceUID), str(header.get("Modality") or "")
        found.setdefault(key, []).append((file, header))
    if not found:
        raise DicomError(
            f"Expected DICOM files in {folder}, found none among its {looked_at} files; "
            "choose the folder that holds the series."
        )
    ordered = sorted(found.items(), key=lambda item: (_series_number(item[1][0][1]), item[0]))
    return [
        SeriesInfo(
            uid=uid,
            modality=modality,
            description=str(members[0][1].get("SeriesDescription") or ""),
            files=tuple(file for file, _ in members),
            is_image=modality not in DERIVED_MODALITIES and all("Rows" in header for _, header in members),
        )
        for (uid, modality), members in ordered
    ]


def read_series(folder: Path | str, series_uid: str = "", progress: Progress | None = None) -> Volume:
    """Read one image series of a folder.

    Parameters
    ----------
    folder:
        Searched with its sub-folders.
    series_uid:
        Which series; "" when there is but one image series.
    progress:
        Told how many slices are read.

    Returns
    -------
    Volume
        Rescaled values (Hounsfield units for CT) on a regular, orthogonal grid. ``notes`` say what was
        interpolated: missing or unevenly spaced slices, a gantry tilt.

    Raises
    ------
    FileReadError
        There is no such folder.
    DicomError
        No image series, several and none chosen, or one whose slices make up no volume.
    """
    chosen = _choose(list_series(folder), Path(folder), series_uid)
    return _read_files(chosen.files, str(folder), progress or NoProgress())


def read_file(path: Path | str) -> Volume:
    """Read one DICOM file: a single-slice volume, or the volume of an enhanced multi-frame image.

    Raises
    ------
    DicomError
        It is damaged, holds no image, or its frames make up no volume.
    """
    path = Path(path)
    header = _header(path, LISTED_TAGS)
    if str(header.get("Modality") or "") in DERIVED_MODALITIES or "Rows" not in header:
        kind = header.get("Modality") or "none"
        raise DicomError(f"Expected an image in {path}, got modality {kind} without pixels to look at; choose another.")
    return _read_files((path,), str(path), NoProgress())


def _choose(series: list[SeriesInfo], folder: Path, uid: str) -> SeriesInfo:
    """The image series of that UID, or the only one."""
    images = [one for one in series if one.is_image]
    if not images:
        raise DicomError(f"Expected an image series in {folder}, got only {'; '.join(map(str, series))}.")
    wanted = [one for one in images if uid in ("", one.uid)]
    if len(wanted) == 1:
        return wanted[0]
    listed = "; ".join(map(str, images))
    if uid:
        raise DicomError(f"Expected --series to be one image series of {folder}, got {uid}; there are: {listed}.")
    raise DicomError(f"The folder {folder} holds {len(images)} image series; choose one with --series UID: {listed}.")


def _read_files(files: tuple[Path, ...], source: str, progress: Progress) -> Volume:
    """The volume that the files make up."""
    headers = {file: _header(file, (*LISTED_TAGS, *IDENTIFIERS, *GEOMETRY_TAGS)) for file in files}
    grid = stack([one for file, header in headers.items() for one in slices_of(header, file)])
    first = headers[grid.slices[0].file]
    array = _pixels(grid, progress)
    if grid.note:
        array = evenly_spaced(array, grid.places_mm, grid.count)
    volume = Volume(
        array,
        grid.ijk_to_ras,
        modality=str(first.get("Modality") or ""),
        source=source,
        identifiers={name: str(first[name].value) for name in IDENTIFIERS if first.get(name)},
        notes=(grid.note,) if grid.note else (),
    )
    return without_shear(volume, "gantry tilt")


def _pixels(grid: Stack, progress: Progress) -> np.ndarray:
    """Rescaled values of all slices, shape (channels, k, j, i)."""
    planes: list[np.ndarray] = []
    for file, members in groupby(grid.slices, key=lambda one: one.file):
        frames = list(members)
        advance(progress, len(planes) / len(grid.slices), "Reading DICOM")
        planes += [_plane(file)] if frames[0].frame is None else _frames(file, frames)
    array = np.stack(planes, axis=1)
    int16 = np.iinfo(np.int16)
    if array.dtype == np.int32 and array.min() >= int16.min and array.max() <= int16.max:
        return array.astype(np.int16)  # ITK widens 12-bit CT to 32 bits for safety; this halves the memory
    return array


def _plane(file: Path) -> np.ndarray:
    """Rescaled values of a single-frame file, shape (channels, j, i).

    Read by ITK (GDCM), which unpacks every usual compression, applies slope and intercept for every
    kind of image, and turns MONOCHROME1 round so that bright is dense.
    """
    check_pixels(file)
    try:
        with quiet_itk():
            image = sitk.ReadImage(str(file))
    except RuntimeError as error:
        raise DicomError(
            f"Cannot read the pixels of {file} ({itk_cause(error)}); the file is damaged or truncated: export it again."
        ) from error
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)[:, 0]
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    return array if array.ndim == 3 else array[None]


def _frames(file: Path, frames: list[Slice]) -> list[np.ndarray]:
    """Rescaled values of frames of an enhanced multi-frame file, each of shape (channels, j, i).

    Read by pydicom, because slope and intercept may differ from frame to frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pydicom.dcmread(file).pixel_array
    except Exception as error:  # pydicom's decoders raise whatever their libraries raise
        raise DicomError(
            f"Cannot read the pixels of {file} ({_first_line(error)}); export it uncompressed or as single slices."
        ) from error
    stored = stored.reshape(-1, *stored.shape[-2:])
    planes = []
    for one in frames:
        slope, intercept = one.rescale
        exact = slope == 1 and intercept.is_integer()
        plane = stored[one.frame].astype(np.float64) * slope + intercept
        planes.append(plane.astype(np.int32 if exact else np.float32)[None])
    return planes


def _header(file: Path, tags: Sequence[str]) -> Dataset:
    """Some of a file's attributes, each of them decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break the standard without harm are common
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
            for _ in header.iterall():  # pydicom decodes a value, and raises, when it is first looked at
                pass
    except Exception as error:  # a damaged file makes pydicom raise nearly anything
        raise DicomError(f"Cannot read the header of {file} ({_first_line(error)}); export the file again.") from error
    return header


def _first_line(error: Exception) -> str:
    """The first line of an error's text, cut short, or its kind when it has none."""
    return printable(elided(next(iter(str(error).splitlines()), ""), 200)) or type(error).__name__


def _series_number(header: Dataset) -> str:
    """SeriesNumber as text that sorts like a number."""
    return str(header.get("SeriesNumber") or "").zfill(12)
