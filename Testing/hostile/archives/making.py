"""What hostile models are made with, and the list of them."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
SECRET = "secret.txt"
"""A file beside the artefacts that none of them may read."""

Files = dict[str, bytes]
Maker = Callable[[Path, Files], Path]
"""Writes an artefact into a folder, out of the files of an honest model; returns what to install."""


@dataclass(frozen=True)
class Artefact:
    """A maker; the name of the error that it must lead to; a pattern of the reason."""

    make: Maker
    error: str
    reason: str


ARTEFACTS: dict[str, Artefact] = {}


def artefact(reason: str, error: str = "ArchiveError") -> Callable[[Maker], Maker]:
    """Register a maker under its function's name."""

    def register(make: Maker) -> Maker:
        ARTEFACTS[make.__name__] = Artefact(make, error, reason)
        return make

    return register


class Gadget:
    """Unpickling one writes a file: the mark of an execution."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def gadget(folder: Path) -> bytes:
    """A pickle that runs code when it is loaded."""
    return pickle.dumps(Gadget(folder / "executed"))


def write_zip(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], compression: int = 0) -> Path:
    """A zip file of exactly these members, also of impossible ones."""
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return path


def with_members(folder: Path, files: Files, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    """The honest model as a zip file, with further members."""
    return write_zip(folder / "model.zip", [*files.items(), *members])


def with_changes(folder: Path, files: Files, changes: Mapping[str, bytes]) -> Path:
    """The honest model as a zip file, with other content in some files."""
    return write_zip(folder / "model.zip", ({**files, **changes}).items())


def special(name: str, mode: int) -> zipfile.ZipInfo:
    """A zip member that says it is of that kind."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (mode | 0o777) << 16
    return info


def raw_name(name: str, raw: str) -> zipfile.ZipInfo:
    """A zip member with a name that ``ZipInfo`` would have cleaned."""
    info = zipfile.ZipInfo(name)
    info.filename = raw
    return info


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite a field in every record of a zip file that begins with the signature."""
    data = bytearray(path.read_bytes())
    at = data.find(signature)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = data.find(signature, at + 4)
    path.write_bytes(data)
    return path


def metadata_with(files: Files, change: Callable[[dict], object]) -> Files:
    """The metadata after a change."""
    data = json.loads(files["configs/metadata.json"])
    change(data)
    return {"configs/metadata.json": json.dumps(data).encode()}


def write_tar(folder: Path, files: Files, *infos: tuple[tarfile.TarInfo, bytes], compressed: bool = True) -> Path:
    """The honest model as a tar file, with further members."""
    path = folder / ("model.tar.gz" if compressed else "model.tar")
    with tarfile.open(path, "w:gz" if compressed else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info, content in infos:
            archive.addfile(info, io.BytesIO(content) if content else None)
    return path


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar member of that kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def write_folder(folder: Path, files: Files) -> Path:
    """The honest model as a folder."""
    root = folder / "model"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data
