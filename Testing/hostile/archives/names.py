"""Names that lead elsewhere."""

from __future__ import annotations

from pathlib import Path

from .making import Files, artefact, with_members


@artefact(r"'../evil.txt' climbs out of its folder")
def parent(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("../evil.txt", b"x"))


@artefact(r"climbs out of its folder")
def parent_inside(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("models/../../evil.txt", b"x"))


@artefact(r"has an absolute path")
def absolute(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (str(folder / "evil.txt"), b"x"))


@artefact(r"has a drive letter")
def drive(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("C:/evil.txt", b"x"))


@artefact(r"has a backslash in its name")
def backslash(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("..\\evil.txt", b"x"))


@artefact(r"has an impossible name")
def nul_in_name(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("readme@.txt", b"x"))
    path.write_bytes(path.read_bytes().replace(b"readme@.txt", b"readme\0.txt"))
    return path


@artefact(r"has control characters in its name")
def escape_in_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("\x1b[2Jevil.txt", b"x"))


@artefact(r"has control characters in its name")
def reversed_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("card\u202etxt.exe", b"x"))


@artefact(r"has the name of a device")
def device_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("models/con.txt", b"x"))


@artefact(r"has a name that not every disk can hold")
def second_stream(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("README.md:evil.exe", b"x"))


@artefact(r"too deep or too long")
def deep(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("/".join("d" * 60) + "/x", b"x"))


@artefact(r"are one on some disks")
def duplicate(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("configs/metadata.json", b"{}"))


@artefact(r"'README.md' and 'readme.MD' are one on some disks")
def other_case(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("README.md", b"x"), ("readme.MD", b"y"))


@artefact(r"are one on some disks")
def other_unicode_form(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("caf\u00e9.txt", b"x"), ("cafe\u0301.txt", b"y"))


@artefact(r"lies below 'docs', which is a file")
def file_as_folder(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("docs", b"x"), ("docs/evil.txt", b"y"))


@artefact(r"has letters that look like a separator or a parent folder")
def letter_of_two_dots(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("\u2025/evil.txt", b"x"))


@artefact(r"has letters that look like a separator or a parent folder")
def letter_of_a_slash(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("..\uff0fevil.txt", b"x"))
