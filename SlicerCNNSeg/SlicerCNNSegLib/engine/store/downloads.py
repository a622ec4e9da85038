"""Downloads that resume, and whose checksum is verified before anybody looks inside."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import DownloadError, OutputError, SettingsError
from ..progress import Progress, advance
from ..version import VERSION
from .members import MIB, Limits

DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
"""Algorithms that model collections publish, and how many hexadecimal digits each has."""

TIMEOUT_S = 30.0
TRIES = 4
"""How often a broken connection is taken up again before the user has to."""

OFFLINE = "CNNSEG_OFFLINE"


@dataclass(frozen=True)
class Checksum:
    """A published checksum.

    Raises
    ------
    SettingsError
        The algorithm is unknown or the digits are not as many as it has.
    """

    algorithm: str
    digest: str

    def __post_init__(self) -> None:
        if len(self.digest) != DIGITS.get(self.algorithm) or not re.fullmatch("[0-9a-f]+", self.digest):
            raise SettingsError(
                "Expected a checksum as sha256:HEX (or sha1:HEX, md5:HEX, as published), "
                f"got {self.algorithm}:{self.digest}."
            )

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """From ``ALGORITHM:HEX``, or the digits of a SHA-256 alone."""
        algorithm, colon, digest = text.strip().lower().rpartition(":")
        return cls(algorithm if colon else "sha256", digest)

    def verify(self, path: Path) -> None:
        """See that a file is the one that was published.

        Raises
        ------
        DownloadError
            It is another one.
        """
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.new(self.algorithm, usedforsecurity=False)).hexdigest()
        if found != self.digest:
            raise DownloadError(
                f"Expected {path.name} to have the {self.algorithm} {self.digest}, got {found}; it was not opened. "
                "Get it anew, and the checksum from its publisher."
            )


def is_offline() -> bool:
    """Whether the environment forbids the network (``CNNSEG_OFFLINE``, set to anything but 0)."""
    return os.environ.get(OFFLINE, "0").strip() not in ("", "0")


def download(url: str, folder: Path, checksum: Checksum, progress: Progress, limits: Limits | None = None) -> Path:
    """Fetch a file into ``folder``; what an earlier try left there is taken up again.

    The file is named by its checksum; the part of it that is there when the connection breaks, or the user cancels,
    stays for the next try. Only http and https are spoken, also after a redirection.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    DownloadError
        No connection; too large; or not what the checksum says (the file is deleted then).
    SettingsError
        The address is no http or https address.
    OutputError
        The folder cannot be written to.
    Cancelled
        The user asked to stop.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingsError(f"Expected an address that begins with http:// or https://, got {url!r}.")
    largest = (limits or Limits()).total_bytes
    part = folder / f"{checksum.algorithm}-{checksum.digest}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise OutputError(f"Cannot write to {folder}: {error.strerror or error}.") from error
    _fetch_with_patience(url, part, largest, progress)
    try:
        checksum.verify(part)
    except DownloadError:
        part.unlink()
        raise
    return part


def _fetch_with_patience(url: str, part: Path, largest: int, progress: Progress) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            return _fetch(url, part, largest, progress)
        except (OSError, http.client.HTTPException) as error:
            lasting = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == TRIES or lasting:
                raise DownloadError(
                    f"Fetching {url} failed ({error}); check the address and the connection, and try again: it goes on "
                    "where it stopped."
                ) from error
    return None


def _fetch(url: str, part: Path, largest: int, progress: Progress) -> None:
    """Append what is missing of a file; raises OSError or HTTPException when the connection breaks."""
    have = part.stat().st_size
    headers = {"User-Agent": f"cnnseg/{VERSION}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # there is no more than what is here; the checksum tells whether it is right
        raise
    with response:
        if have and response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server does not resume
        announced = int(response.headers.get("Content-Length") or 0)
        if have + announced > largest:
            raise DownloadError(f"{url} announces {have + announced} bytes, over {largest}; it is no model.")
        with part.open("r+b" if have else "wb") as target:
            target.seek(have)
            _copy(response, target, url, have, have + announced, largest, progress)
        if announced and part.stat().st_size < have + announced:
            raise ConnectionError(f"{part.stat().st_size} of {have + announced} bytes came")


def _copy(response: Any, target: Any, url: str, have: int, whole: int, largest: int, progress: Progress) -> None:
    while block := response.read(MIB):
        have += len(block)
        if have > largest:
            raise DownloadError(f"{url} sends more than {largest} bytes; it is no model.")
        target.write(block)
        advance(progress, min(have / whole, 1.0) if whole else 0.0, f"Downloading, {have / 1e6:.0f} MB")


def _opener() -> urllib.request.OpenerDirector:
    """One that speaks http and https only: no ftp, no file, no data, not after a redirection either."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
