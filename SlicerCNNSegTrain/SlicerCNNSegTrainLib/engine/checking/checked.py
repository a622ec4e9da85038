"""What a run is trained on: cases that were read and judged, and their division."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.images import ImageReading
from ..data.marked import MarkedReading
from ..data.reading import Reading
from ..data.splits import Division
from .findings import CheckReport


@dataclass(frozen=True)
class CheckedData:
    """The cases of a run, read and judged, and how they are divided.

    Parameters
    ----------
    path:
        The data's folder or table.
    reading:
        What came of reading the cases; of a classification or detection the images.
    division:
        Of the cases.
    report:
        The judgement.
    """

    path: Path
    reading: Reading | ImageReading | MarkedReading
    division: Division[Any]
    report: CheckReport
