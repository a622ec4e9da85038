"""Labelmaps to and from files, with names, colours and codes where the format has a place for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import CNNSegError, FileReadError, GeometryError, OutputError
from ..labels import Label
from ..volume import Geometry, Volume
from .images import read_grid
from .itk import write_itk
from .paths import LABELMAP_FORMATS, suffix
from .segments import Segment, generic_label, header_of, segments_in

LARGEST_VALUE = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class LabelmapFile:
    """What a labelmap's file holds.

    Parameters
    ----------
    labelmap:
        Shape ``(k, j, i)``, uint8 or uint16; 0 is background.
    geometry:
        Its grid.
    labels:
        One for each value that the file names or, without names, that occurs.
    """

    labelmap: np.ndarray
    geometry: Geometry
    labels: tuple[Label, ...]


def write_labelmap(path: Path | str, labelmap: np.ndarray, geometry: Geometry, labels: Sequence[Label]) -> None:
    """Write a labelmap, compressed, in one piece.

    Parameters
    ----------
    path:
        Its suffix chooses the format, see ``LABELMAP_FORMATS``.
    labelmap:
        Shape ``(k, j, i)``, integers from 0 to 65535.
    geometry:
        Its grid.
    labels:
        What the values mean. In ``.seg.nrrd`` only those that occur become segments (Slicer's DICOM
        export stumbles over empty ones); a value without a label gets a generic one.

    Raises
    ------
    OutputError
        The suffix is unknown, the place is not writable, the values are no labels, or a code cannot
        be written.
    GeometryError
        The shape is not the grid's, or the axes are not orthogonal.
    """
    path = Path(path)
    kind = suffix(path).removeprefix(".")
    if kind not in LABELMAP_FORMATS:
        raise OutputError(f"Expected a labelmap's suffix out of {', '.join(LABELMAP_FORMATS)}, got {path.name}.")
    if labelmap.shape != geometry.shape_kji:
        raise GeometryError(f"Expected a labelmap of shape (k, j, i) {geometry.shape_kji}, got {labelmap.shape}.")
    image = Volume(_compact(labelmap, str(path), OutputError)[None], geometry.ijk_to_ras).to_sitk()
    if kind == "seg.nrrd":
        for key, value in header_of(_labels_of(labelmap, labels), geometry).items():
            image.SetMetaData(key, value)
    write_itk(path, image)


def read_labelmap(path: Path | str) -> LabelmapFile:
    """Read a labelmap: ``.seg.nrrd`` with its segments, other formats with generic labels.

    Segments on several layers of a ``.seg.nrrd`` come as one labelmap when they don't overlap; where
    layers use the same value twice, the segments are numbered anew in the file's order.

    Raises
    ------
    FileReadError
        The file cannot be read, has several channels, values that are not whole numbers from 0 to
        65535, or segments that overlap.
    GeometryError
        It has a fourth dimension.
    """
    path = Path(path)
    volume, header = read_grid(path)
    layers = [_compact(layer, str(path), FileReadError) for layer in volume.array]
    segments = segments_in(header, str(path))
    if segments:
        labelmap = _merged(layers, segments, path)
        return LabelmapFile(labelmap, volume.geometry, tuple(_values_apart(segments)))
    if len(layers) > 1:
        raise FileReadError(f"Expected a labelmap with one channel in {path}, got {len(layers)}; is it an image?")
    return LabelmapFile(layers[0], volume.geometry, _labels_of(layers[0], ()))


def _values_apart(segments: Sequence[Segment]) -> list[Label]:
    """The segments' labels, numbered anew from 1 when layers use the same value twice."""
    labels = [segment.label for segment in segments]
    if len({label.value for label in labels}) == len(labels):
        return labels
    return [replace(label, value=number) for number, label in enumerate(labels, start=1)]


def _merged(layers: Sequence[np.ndarray], segments: Sequence[Segment], path: Path) -> np.ndarray:
    """One labelmap out of segments on several layers, with the values of ``_values_apart``.

    A value that belongs to no segment is background, as in Slicer.
    """
    merged = np.zeros(layers[0].shape, np.uint16)
    for segment, label in zip(segments, _values_apart(segments), strict=True):
        if segment.layer >= len(layers):
            raise FileReadError(
                f"The segment {label.name!r} of {path} is on layer {segment.layer} of only {len(layers)}; "
                "save it again in Slicer."
            )
        mask = layers[segment.layer] == segment.label.value
        if merged[mask].any():
            raise FileReadError(
                f"The segment {label.name!r} of {path} overlaps another one, which a labelmap cannot hold; "
                "save the segments to files of their own."
            )
        merged[mask] = label.value
    return _compact(merged, str(path), FileReadError)


def _labels_of(labelmap: np.ndarray, labels: Sequence[Label]) -> tuple[Label, ...]:
    """A label for each value that occurs, in ascending order; a generic one where ``labels`` has none."""
    known = {label.value: label for label in labels}
    return tuple(known.get(value) or generic_label(value) for value in np.unique(labelmap).tolist() if value)


def _compact(labelmap: np.ndarray, source: str, error: type[CNNSegError]) -> np.ndarray:
    """The same whole numbers as uint8, or uint16 where they don't fit; raises ``error`` for any others."""
    if not np.issubdtype(labelmap.dtype, np.integer) and not (labelmap == np.rint(labelmap)).all():
        raise error(f"Expected a labelmap of whole numbers in {source}, got fractions or NaN; is it an image?")
    low, high = labelmap.min(), labelmap.max()
    if low < 0 or high > LARGEST_VALUE:
        raise error(f"Expected label values from 0 to {LARGEST_VALUE} in {source}, got {low:g} to {high:g}.")
    return labelmap.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)
