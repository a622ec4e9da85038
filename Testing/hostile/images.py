"""Image files that were damaged or forged: honest ones whose bytes were changed, the same on every run."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from engine.files.made_dicom import slice_dataset
from pydicom.uid import generate_uid

SIZE_IJK = (9, 8, 7)
DICM_END = 132
"""Where the preamble of a DICOM file ends: what is shorter is no DICOM file."""

EXTREMES = [
    *(struct.pack(f"<{kind}", value) for kind in "hiq" for value in (0, -1, 2 ** (8 * struct.calcsize(kind) - 1) - 1)),
    *(struct.pack("<f", value) for value in (0.0, -1.0, 1e30, 1e-30, float("nan"), float("inf"))),
]
NUMBERS = (b"0", b"-1", b"30000", b"4294967297", b"99999999999999999999", b"1e999", b"nan", b"", b"0.0.0", b"x")

Content = bytes
Mutation = Callable[[Content, int, np.random.Generator], Content]
"""Changes a file's bytes; told where its header ends."""


def flip(content: Content, header: int, random: np.random.Generator) -> Content:
    """Up to eight other bytes in the header."""
    changed = bytearray(content)
    for place in random.integers(header, size=random.integers(1, 9)):
        changed[place] = random.integers(256)
    return bytes(changed)


def extreme(content: Content, header: int, random: np.random.Generator) -> Content:
    """The largest, the smallest, or no number at an even place of the header."""
    value = EXTREMES[random.integers(len(EXTREMES))]
    place = 2 * int(random.integers((header - len(value)) // 2))
    return content[:place] + value + content[place + len(value) :]


def number(content: Content, header: int, random: np.random.Generator) -> Content:
    """Another number where the header has one in text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:header]))
    if not found:
        return extreme(content, header, random)
    one = found[random.integers(len(found))]
    return content[: one.start()] + NUMBERS[random.integers(len(NUMBERS))] + content[one.end() :]


def blank(content: Content, header: int, random: np.random.Generator) -> Content:
    """Zeros in a part of the header."""
    first, last = np.sort(random.integers(header, size=2))
    return content[:first] + bytes(last - first) + content[last:]


def twice(content: Content, header: int, random: np.random.Generator) -> Content:
    """A part of the header written twice."""
    first, last = np.sort(random.integers(header, size=2))
    return content[:last] + content[first:last] + content[last:]


def cut(content: Content, header: int, random: np.random.Generator) -> Content:
    """The beginning alone."""
    return content[: random.integers(DICM_END, len(content) - 1)]


def voxels(content: Content, header: int, random: np.random.Generator) -> Content:
    """Other bytes behind the header."""
    changed = bytearray(content)
    for place in random.integers(header, len(content), size=8):
        changed[place] = random.integers(256)
    return bytes(changed)


MUTATIONS: tuple[Mutation, ...] = (flip, extreme, number, blank, twice, cut, voxels)


def honest_image() -> sitk.Image:
    """Noise on an oblique grid."""
    image = sitk.GetImageFromArray(np.random.default_rng(5).integers(-900, 900, SIZE_IJK[::-1]).astype(np.int16))
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((10, -20, 30))
    image.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    return image


def written(folder: Path, name: str, compressed: bool) -> Content:
    """The bytes of the honest image in the format that the name says."""
    sitk.WriteImage(honest_image(), str(folder / name), useCompression=compressed)
    return (folder / name).read_bytes()


def dicom_files(folder: Path) -> list[Content]:
    """A series of five slices."""
    pixels, uid = sitk.GetArrayFromImage(honest_image()), generate_uid(entropy_srcs=["series"])
    contents = []
    for position in range(5):
        slice_ = slice_dataset(
            pixels[position],
            SeriesInstanceUID=uid,
            SOPInstanceUID=generate_uid(entropy_srcs=["slice", str(position)]),
            ImagePositionPatient=[0, 0, 2 * position],
            RescaleSlope=1,
            RescaleIntercept=-1024,
        )
        slice_.save_as(folder / "slice", enforce_file_format=True)
        contents.append((folder / "slice").read_bytes())
    return contents


def write_corpus(folder: Path, count: int) -> list[tuple[Path, Mutation]]:
    """Write ``count`` inputs, each form and each mutation as often; paths to read, with what was done to them."""
    honest = folder / "honest"
    honest.mkdir()
    files = {name: written(honest, name, compressed=False) for name in ("x.nii", "x.nrrd", "x.mha")}
    packed = {f"z{name[1:]}": written(honest, f"z{name[1:]}", compressed=True) for name in ("x.nrrd", "x.mha")}
    header = {"x.nii": 352, "packed.nii.gz": 352, "stream.nii.gz": 60}
    header |= {name: content.index(b"\n\n") for name, content in (files | packed).items() if name.endswith("nrrd")}
    header |= {name: content.index(b"LOCAL") for name, content in (files | packed).items() if name.endswith("mha")}
    series = dicom_files(honest)
    header |= dict.fromkeys(("one.dcm", "series"), series[0].index(b"\xe0\x7f\x10\x00"))
    contents = (
        files | packed | {"packed.nii.gz": files["x.nii"], "stream.nii.gz": gzip.compress(files["x.nii"], mtime=0)}
    )
    contents |= {"one.dcm": series[0], "series": series[2]}
    random, forms = np.random.default_rng(2026), sorted(contents)
    corpus = []
    for index in range(count):
        form = forms[index % len(forms)]
        mutate = MUTATIONS[index // len(forms) % len(MUTATIONS)]
        content = mutate(contents[form], header[form], random)
        path = folder / f"{index:03}_{form}"
        if form == "series":
            path.mkdir()
            for position, slice_ in enumerate((*series[:2], content, *series[3:])):
                (path / f"{position}.dcm").write_bytes(slice_)
        else:
            path.write_bytes(gzip.compress(content, mtime=0) if form == "packed.nii.gz" else content)
        corpus.append((path, mutate))
    return corpus
