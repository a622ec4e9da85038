"""What the MONAI Model Zoo offers, as published when ``zoo.json`` was made; shown without any network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ZOO = Path(__file__).with_name("zoo.json")

RUNS, WITH_TRUST, REFUSED = "runs", "with trust", "refused"
"""What becomes of a bundle here, by its published config: its weights were not tried where this was written, nor
anything that needs trust."""


@dataclass(frozen=True)
class ZooEntry:
    """A published bundle.

    Parameters
    ----------
    id, version, title:
        As published.
    task:
        ``segmentation``, ``detection``, ``classification`` or ``other``.
    modality:
        DICOM's, or "" where the bundle gives none.
    labels:
        Names of structures or classes, as published, without background.
    url, sha1:
        Of the archive of that version.
    config:
        The commit of the Model Zoo from which its inference config was read to tell the status.
    status, reason:
        ``RUNS``, ``WITH_TRUST`` (its own code is all that is refused) or ``REFUSED``; with what it asks for.
    note:
        What a run does otherwise than its config says.
    """

    id: str
    version: str
    title: str
    task: str
    modality: str
    labels: tuple[str, ...]
    url: str
    sha1: str
    config: str
    status: str
    reason: str
    note: str


@cache
def zoo_entries() -> tuple[ZooEntry, ...]:
    """Every published bundle, sorted by id."""
    models = json.loads(ZOO.read_text(encoding="utf-8"))["models"]
    entries = (ZooEntry(**{**model, "labels": tuple(model["labels"])}) for model in models)
    return tuple(sorted(entries, key=lambda entry: entry.id.lower()))


def zoo_source() -> str:
    """Which state of the Model Zoo the entries are."""
    return str(json.loads(ZOO.read_text(encoding="utf-8"))["read_from"])
