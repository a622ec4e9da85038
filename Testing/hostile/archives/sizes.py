"""Too much of everything."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zipfile
from pathlib import Path

from .making import MIB, Files, artefact, patched, tar_info, with_members, write_tar, write_zip


@artefact(r"unpacks to over 200 times its packed size")
def zip_bomb(folder: Path, files: Files) -> Path:
    path = folder / "model.zip"
    return write_zip(path, [*files.items(), ("models/zeros.txt", bytes(64 * MIB))], zipfile.ZIP_DEFLATED)


@artefact(r"it unpacks to over 200 times its packed size")
def tar_bomb(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("zeros.txt", size=64 * MIB), bytes(64 * MIB)))


@artefact(r"has \d+ members, over 5000")
def many_members(folder: Path, files: Files) -> Path:
    return with_members(folder, files, *((f"docs/{n}", b"") for n in range(6000)))


@artefact(r"table of members, or a header, is too large")
def huge_table(folder: Path, files: Files) -> Path:
    infos = []
    for number in range(50):
        info = zipfile.ZipInfo(f"docs/{number}")
        info.comment = b"c" * 65_000
        infos.append((info, b""))
    return with_members(folder, files, *infos)


@artefact(r"unpacks to over 200 times its packed size")
def zip_declares_4_gb(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 24, struct.pack("<I", 2**32 - 2))


@artefact(r"it would unpack to \d+ MB, over")
def zip_declares_20_gb(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("a", b"x"), ("b", b"x"), ("c", b"x"))
    return patched(path, b"PK\1\2", 20, struct.pack("<II", 2**32 - 2, 2**32 - 2))


@artefact(r"it is damaged or of a form that is not read")
def zip_declares_less(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 24, struct.pack("<I", 5))


@artefact(r"it unpacks to over 200 times")
def tar_declares_7_gb(folder: Path, files: Files) -> Path:
    path = write_tar(folder, files, compressed=False)
    header = tar_info("weights", size=7 * 2**30).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(header + path.read_bytes())
    return path


@artefact(r"table of members, or a header, is too large")
def tar_huge_header(folder: Path, files: Files) -> Path:
    path = folder / "model.tar.gz"
    long_name = tar_info("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=32 * MIB).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(long_name + b"n" * (32 * MIB)))
    return path
