"""What the members of an archive, or of a folder, must be like before one byte of them is unpacked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..errors import ArchiveError
from ..files.paths import RESERVED_NAMES
from ..wording import elided

FILE, FOLDER = "file", "folder"
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """How large a model may be.

    Parameters
    ----------
    members:
        Number of files and folders.
    member_bytes, total_bytes:
        Size of one member and of all, unpacked.
    ratio:
        Unpacked over packed size; held against members (and whole tar files) above 1 MiB. Weights hardly shrink,
        texts by about 10, and what deflate makes of nothing but zeros by 1000.
    config_bytes:
        Size of a JSON file: it is parsed in one piece.
    depth, path_characters:
        Parts and length of a member's path.
    """

    members: int = 5_000
    member_bytes: int = 8 * 1024 * MIB
    total_bytes: int = 16 * 1024 * MIB
    ratio: float = 200.0
    config_bytes: int = 8 * MIB
    depth: int = 16
    path_characters: int = 200


@dataclass(frozen=True)
class Member:
    """One member as its archive declares it: ``packed_size`` None where that is not known by member.

    ``kind`` is ``FILE``, ``FOLDER``, or in words what else it is ("a symbolic link").
    """

    name: str
    size: int
    packed_size: int | None = None
    kind: str = FILE


def check_members(members: Sequence[Member], limits: Limits, source: str) -> list[PurePosixPath]:
    """Where each member may go, relative to the place of unpacking.

    Raises
    ------
    ArchiveError
        A member, or all together, are not what a model needs; the message names the member and the reason.
    """
    if len(members) > limits.members:
        raise refusal(source, f"it has {len(members)} members, over {limits.members}")
    total = sum(member.size for member in members)
    if total > limits.total_bytes:
        raise refusal(source, f"it would unpack to {total / 1e6:.0f} MB, over {limits.total_bytes / 1e6:.0f}")
    taken: dict[str, Member] = {}
    paths = []
    for member in members:
        fault = _fault_of_name(member.name, limits) or _fault_of_content(member, limits)
        if fault:
            raise refusal(source, f"its member {shown(member.name)} {fault}")
        path = PurePosixPath(member.name)
        if str(path) == "." and member.kind == FOLDER:  # what "tar ." begins with
            paths.append(path)
            continue
        key = _key(path)
        if key in taken:
            raise refusal(
                source, f"its members {shown(taken[key].name)} and {shown(member.name)} are one on some disks"
            )
        taken[key] = member
        paths.append(path)
    for path in paths:
        above = next((taken[key] for key in map(_key, path.parents) if key in taken and taken[key].kind == FILE), None)
        if above is not None:
            raise refusal(source, f"its member {shown(str(path))} lies below {shown(above.name)}, which is a file")
    return paths


def refusal(source: str, reason: str) -> ArchiveError:
    """The error that says why something is not installed."""
    return ArchiveError(f"{elided(source, 120)} is refused: {reason}; get the model anew from a source that you trust.")


def shown(name: str) -> str:
    """A member's name for a message: quoted, control characters escaped, cut."""
    return elided(ascii(name), 80)


def _key(path: PurePosixPath) -> str:
    """Equal for paths that are one file on a disk which minds neither case nor Unicode's forms."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(path)).casefold())


def _fault_of_name(name: str, limits: Limits) -> str:
    path, plain = PurePosixPath(name), unicodedata.normalize("NFKC", name)
    if not name or "\0" in name:
        return "has an impossible name"
    if any(unicodedata.category(character).startswith("C") for character in name):
        return "has control characters in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if path.is_absolute():
        return "has an absolute path"
    if re.match(r"[A-Za-z]:", name):
        return "has a drive letter"
    if ".." in path.parts:
        return "climbs out of its folder (..)"
    if ".." in PurePosixPath(plain).parts or any(plain.count(c) != name.count(c) for c in "/\\:"):
        return "has letters that look like a separator or a parent folder"
    if any(set(part) & set('<>:"|?*') or part != part.rstrip(". ") for part in path.parts):
        return "has a name that not every disk can hold"
    if any(part.partition(".")[0].upper() in RESERVED_NAMES for part in path.parts):
        return "has the name of a device"
    if len(path.parts) > limits.depth or len(name) > limits.path_characters:
        return f"has a path of {len(path.parts)} parts and {len(name)} characters, too deep or too long"
    return ""


def _fault_of_content(member: Member, limits: Limits) -> str:
    if member.kind not in (FILE, FOLDER):
        return f"is {member.kind}"
    if member.kind == FOLDER:
        return "is a folder with content of its own" if member.size else ""
    if member.size < 0 or member.size > limits.member_bytes:
        return f"declares {member.size} bytes, over {limits.member_bytes}"
    if member.name.lower().endswith(".json") and member.size > limits.config_bytes:
        return f"is a configuration of {member.size} bytes, over {limits.config_bytes}"
    if member.packed_size is not None and member.size > max(MIB, limits.ratio * member.packed_size):
        return f"unpacks to over {limits.ratio:.0f} times its packed size"
    return ""
