"""SimpleITK without noise on the console, and its errors in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from ..errors import OutputError
from .atomic import replacing


@contextmanager
def quiet_itk() -> Iterator[None]:
    """ITK's warnings off the console: what a user must know goes into errors and notes."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def write_itk(path: Path, image: sitk.Image) -> None:
    """Write an image, compressed, in one piece; the suffix chooses the format.

    Raises
    ------
    OutputError
        The place is not writable.
    """
    with replacing(path) as temporary, quiet_itk():
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise OutputError(f"Cannot write {path} ({itk_cause(error)}); check the disk's free space.") from error


def itk_cause(error: RuntimeError) -> str:
    """What went wrong, out of the several lines that SimpleITK raises: one short line."""
    text = str(error)
    if "Unable to determine ImageIO reader" in text:
        return "its content is of no known format"
    # MetaImageIO adds the stale errno of another call, "Reason: No such file or directory"
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Reason:")]
    cause = re.sub(r"^.*?ERROR: (\w+\(\w+\): )?", "", lines[-1]) if lines else "no reason given"
    return re.sub(r"^\[nrrd\] \w+:\s*", "", cause).rstrip(". ")
