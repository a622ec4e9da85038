"""Damage and odd forms."""

from __future__ import annotations

import bz2
import struct
import zipfile
from pathlib import Path

from .making import Files, artefact, patched, with_members, write_tar, write_zip


@artefact(r"it is damaged")
def zip_truncated(folder: Path, files: Files) -> Path:
    path = with_members(folder, files)
    path.write_bytes(path.read_bytes()[:-30])
    return path


@artefact(r"it is damaged")
def zip_altered(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("notes.txt", b"honest words"))
    path.write_bytes(path.read_bytes().replace(b"honest words", b"hostile word"))
    return path


@artefact(r"it is damaged")
def tar_truncated(folder: Path, files: Files) -> Path:
    path = write_tar(folder, files)
    path.write_bytes(path.read_bytes()[:200])
    return path


@artefact(r"it is damaged")
def gzip_of_nothing(folder: Path, files: Files) -> Path:
    path = folder / "model.tar.gz"
    path.write_bytes(b"\x1f\x8b\x07 hostile")
    return path


@artefact(r"it is encrypted")
def encrypted(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 8, struct.pack("<H", 1))


@artefact(r"compressed in another way than deflate")
def other_compression(folder: Path, files: Files) -> Path:
    return write_zip(folder / "model.zip", files.items(), zipfile.ZIP_BZIP2)


@artefact(r"none of them", "FileReadError")
def other_archive(folder: Path, files: Files) -> Path:
    path = folder / "model.bz2"
    path.write_bytes(bz2.compress(b"".join(files.values())))
    return path


@artefact(r"expected one model with configs/metadata.json, found 0")
def no_model(folder: Path, files: Files) -> Path:
    return write_zip(folder / "model.zip", [("notes.txt", b"nothing")])


@artefact(r"expected one model with configs/metadata.json, found 2")
def two_models(folder: Path, files: Files) -> Path:
    members = [(f"{top}/{name}", content) for top in ("a", "b") for name, content in files.items()]
    return write_zip(folder / "model.zip", members)
