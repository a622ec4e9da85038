"""Members that are no files."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

from .making import SECRET, Files, artefact, special, tar_info, with_members, write_folder, write_tar


@artefact(r"'models/link' is a symbolic link")
def zip_link(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (special("models/link", stat.S_IFLNK), b"/etc/passwd"))


@artefact(r"is a symbolic link")
def zip_through_link(folder: Path, files: Files) -> Path:
    link = special("out", stat.S_IFLNK)
    return with_members(folder, files, (link, str(folder).encode()), ("out/evil.txt", b"x"))


@artefact(r"is a device, a pipe or a socket")
def zip_device(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (special("models/null", stat.S_IFCHR), b""))


@artefact(r"'models/copy' is a hard link")
def tar_hard_link(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/copy", tarfile.LNKTYPE, f"../../{SECRET}"), b""))


@artefact(r"is a symbolic link")
def tar_link(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/copy", tarfile.SYMTYPE, f"../../{SECRET}"), b""))


@artefact(r"is no plain file")
def tar_pipe(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/pipe", tarfile.FIFOTYPE), b""))


@artefact(r"is no plain file")
def tar_device(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/null", tarfile.CHRTYPE), b""), compressed=False)


@artefact(r"climbs out of its folder")
def tar_parent(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("../evil.txt", size=1), b"x"))


@artefact(r"is a symbolic link")
def folder_link_to_file(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    (root / "models" / "copy.txt").symlink_to(folder / SECRET)
    return root


@artefact(r"is a symbolic link")
def folder_link_to_folder(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    (root / "docs").symlink_to(folder, target_is_directory=True)
    return root


@artefact(r"is a device, a pipe or a socket")
def folder_pipe(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    os.mkfifo(root / "models" / "pipe")
    return root


@artefact(r"'docs/' is a folder with content of its own")
def folder_with_content(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("docs/", b"x"))
