"""Unpacking zip files, tar files and folders without trusting them, and packing zip files.

Nothing is handed to ``extractall``: members are checked as declared (``members.py``), and then each file is written
by us, under the path that was checked, with no more bytes than were declared.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import FileReadError, OutputError
from ..files.atomic import replacing
from ..progress import Progress, advance
from .members import FILE, FOLDER, MIB, Limits, Member, check_members, refusal

Opener = Callable[[int], IO[bytes]]
"""Opens the content of the member of that index."""

LARGEST_READ = 2 * MIB
"""What the standard library may read in one piece: it reads a zip's table of members, and a tar's long headers, so."""

PACKED_ALREADY = (".safetensors", ".whl")
"""Files that hardly shrink: weights, and wheels, which are zip files."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member that is packed: the same files give the same bytes."""


class BoundedFile(io.BufferedReader):
    """A file that refuses to be read in huge pieces, whatever lengths its content declares."""

    def __init__(self, raw: Any, source: str) -> None:
        super().__init__(raw)
        self._source = source

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most ``LARGEST_READ`` bytes; ArchiveError where more are asked for, or left."""
        too_large = refusal(self._source, "its table of members, or a header, is too large")
        everything = size is None or size < 0
        if not everything and size > LARGEST_READ:  # type: ignore[operator]
            raise too_large
        data = super().read(LARGEST_READ + 1 if everything else size)
        if len(data) > LARGEST_READ:
            raise too_large
        return data


def unpack(source: Path, folder: Path, progress: Progress, limits: Limits | None = None) -> None:
    """Copy a zip file, a tar file (plain or with gzip) or a folder into ``folder``, which is empty.

    Raises
    ------
    ArchiveError
        A member is not allowed, or the archive is damaged; ``folder`` may hold a part of it.
    FileReadError
        There is nothing, or something that is neither.
    OutputError
        The disk is full or cannot be written to.
    Cancelled
        The user asked to stop.
    """
    limits = limits or Limits()
    if source.is_dir():
        return _unpack_folder(source, folder, progress, limits)
    try:
        with source.open("rb", buffering=0) as raw:
            start = raw.read(4)
            raw.seek(0)
            if start.startswith(b"PK"):
                with BoundedFile(raw, source.name) as file:
                    return _unpack_zip(file, source.name, folder, progress, limits)
            if start.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=raw) as plain, BoundedFile(plain, source.name) as file:
                    return _unpack_tar(file, source, folder, progress, limits)
            if source.name.lower().endswith(".tar"):
                with BoundedFile(raw, source.name) as file:
                    return _unpack_tar(file, source, folder, progress, limits)
    except FileNotFoundError as error:
        raise FileReadError(f"Expected a model's zip file or folder, but there is no {source}.") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise refusal(source.name, f"it is damaged or of a form that is not read ({error})") from error
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise refusal(source.name, f"it is damaged ({error})") from error
        raise FileReadError(f"{source} cannot be read: {error.strerror or error}.") from error
    raise FileReadError(f"Expected a zip file, a tar file or a folder, but {source} is none of them.")


def _unpack_zip(file: IO[bytes], name: str, folder: Path, progress: Progress, limits: Limits) -> None:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if any(info.flag_bits & 0x1 for info in infos):
            raise refusal(name, "it is encrypted")
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
            raise refusal(name, "it is compressed in another way than deflate")
        members = [Member(i.orig_filename, i.file_size, i.compress_size, _zip_kind(i)) for i in infos]
        check_members(members, limits, name)
        if sum(info.compress_size for info in infos) > file.seek(0, io.SEEK_END):
            raise refusal(name, "its members lie over one another")
        _write(members, lambda index: archive.open(infos[index]), name, folder, progress, limits)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return FOLDER if info.filename.endswith("/") else FILE  # is_dir() fails on an empty name
    return _kind_in_words(mode)


def _unpack_tar(file: IO[bytes], source: Path, folder: Path, progress: Progress, limits: Limits) -> None:
    packed = source.stat().st_size
    members: list[Member] = []
    infos: list[tarfile.TarInfo] = []
    with tarfile.open(fileobj=file, mode="r:") as archive:
        # one by one: behind each header the reader jumps over the content, which a bomb has plenty of
        for info in archive:
            infos.append(info)
            members.append(Member(info.name, info.size, None, _tar_kind(info)))
            total = sum(member.size for member in members)
            if total > max(MIB, limits.ratio * packed):
                raise refusal(source.name, f"it unpacks to over {limits.ratio:.0f} times its packed size")
            if len(members) > limits.members or info.size > limits.member_bytes or info.size < 0:
                break
        _write(members, lambda index: _tar_content(archive, infos[index]), source.name, folder, progress, limits)


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym():
        return "a symbolic link"
    if info.islnk():
        return "a hard link"
    if info.isdir():
        return FOLDER
    return FILE if info.isreg() and not info.issparse() else "no plain file"


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # it is a plain file
    return content


def _unpack_folder(source: Path, folder: Path, progress: Progress, limits: Limits) -> None:
    members: list[Member] = []
    for parent, folders, files in os.walk(source):
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            status = path.lstat()
            kind = FOLDER if stat.S_ISDIR(status.st_mode) else FILE
            if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                kind = _kind_in_words(status.st_mode)
            size = status.st_size if kind == FILE else 0
            members.append(Member(path.relative_to(source).as_posix(), size, None, kind))
            if len(members) > limits.members:
                raise refusal(str(source), f"it has over {limits.members} members")
    _write(members, lambda index: _open_file(source / members[index].name), str(source), folder, progress, limits)


def _open_file(path: Path) -> IO[bytes]:
    """Open a file, and no link that has taken its place since it was looked at."""
    without_links = getattr(os, "O_NOFOLLOW", 0)
    try:
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | without_links))
    except OSError as error:
        raise FileReadError(f"{path} cannot be read: {error.strerror or error}.") from error


def _kind_in_words(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "a device, a pipe or a socket"


def _write(
    members: Sequence[Member], opener: Opener, source: str, folder: Path, progress: Progress, limits: Limits
) -> None:
    paths = check_members(members, limits, source)
    total = sum(member.size for member in members)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise OutputError(f"The model needs {total / 1e6:.0f} MB in the models' folder, {free / 1e6:.0f} MB are free.")
    done = 0
    for index, (member, path) in enumerate(zip(members, paths, strict=True)):
        advance(progress, done / max(total, 1), "Unpacking")
        if member.kind == FOLDER:
            (folder / path).mkdir(parents=True, exist_ok=True)
            continue
        with opener(index) as content:
            _copy(content, folder / path, member.size, source)
        done += member.size


def _copy(content: IO[bytes], path: Path, size: int, source: str) -> None:
    """Write exactly ``size`` bytes to a file that is not there yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
    left = size
    with target:
        while left and (block := content.read(min(left, MIB))):
            try:
                target.write(block)
            except OSError as error:
                raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error
            left -= len(block)
    if left or content.read(1):
        raise refusal(source, f"its member {PurePosixPath(path).name!r} has not the size that it declares")


def pack(folder: Path, path: Path, top: str, progress: Progress, beside: Mapping[str, Path] | None = None) -> None:
    """Write a zip file of a folder's files below the one folder ``top``; the same files give the same bytes.

    Weights are stored as they are (they hardly shrink), as are zip files, all else is deflated. Hidden files and caches
    are left out.

    Parameters
    ----------
    beside:
        Further files by the names that they get, outside of ``top``.

    Raises
    ------
    ArchiveError
        A file could not be unpacked again, a link for example.
    OutputError
        The place cannot be written to.
    """
    files = {f"{top}/{part.as_posix()}": folder / part for part in _parts_to_pack(folder)} | dict(beside or {})
    members = [
        Member(name, file.lstat().st_size, None, "a symbolic link" if file.is_symlink() else FILE)
        for name, file in files.items()
    ]
    check_members(members, Limits(), top)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for index, member in enumerate(members):
            advance(progress, index / len(members), "Packing")
            file = files[member.name]
            info = zipfile.ZipInfo(member.name, EPOCH)
            info.compress_type = zipfile.ZIP_STORED if file.suffix in PACKED_ALREADY else zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, on every system: one of the bytes
            info.file_size = member.size  # lets zipfile choose the large form where it must
            with file.open("rb") as content, archive.open(info, "w") as target:
                shutil.copyfileobj(content, target, MIB)


def _parts_to_pack(folder: Path) -> list[Path]:
    """The files of a folder, relative to it and sorted, without hidden ones and caches."""
    files = (file for file in folder.rglob("*") if not file.is_dir() or file.is_symlink())
    parts = sorted((file.relative_to(folder) for file in files), key=Path.as_posix)
    return [part for part in parts if not any(p.startswith(".") or p == "__pycache__" for p in part.parts)]
