"""The record of a run, put together once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from .package import ModelPackage
from .parts import Stopwatch
from .result import RunRecord
from .settings import AUTO
from .version import versions
from .volume import Volume

FORCED, RULE = "forced", "rule"
"""What decides on a precision: the settings, or what is known of the device."""

RECORDED_PACKAGES = ("torch", "monai", "numpy", "scipy")


class Recordable(Protocol):
    """The settings of any task."""

    def to_json(self) -> dict[str, object]:
        """The plain form."""


def record_of(
    package: ModelPackage,
    settings: Recordable,
    volumes: Sequence[Volume],
    stopwatch: Stopwatch,
    *,
    device: object,
    precision: str,
    warnings: Sequence[str],
    choice: Mapping[str, object] | None = None,
) -> RunRecord:
    """The record of a run that is over; a warning that was given twice stands in it once, a demonstration says so.

    Parameters
    ----------
    device, precision:
        What was really used.
    choice:
        How the precision was chosen, where there was more than the settings and the device to it.
    """
    plain = settings.to_json()
    return RunRecord(
        task=package.task,
        model_id=package.id,
        model_version=package.version,
        model_sha256=package.sha256,
        settings=plain,
        device=str(device),
        precision=precision,
        versions=versions(*RECORDED_PACKAGES),
        inputs=tuple(_described(volume) for volume in volumes),
        seconds=dict(stopwatch.seconds),
        warnings=tuple(dict.fromkeys([*filter(None, [package.demonstration]), *warnings])),
        started=stopwatch.started,
        choice=dict(choice or {"source": RULE if plain.get("precision") == AUTO else FORCED}),
    )


def _described(volume: Volume) -> dict[str, object]:
    """What the record keeps of an input."""
    return {
        "source": volume.source,
        "identifiers": dict(volume.identifiers),
        "modality": volume.modality,
        "channel_names": list(volume.channel_names),
        "size_ijk": list(volume.geometry.size_ijk),
        "ijk_to_ras": volume.ijk_to_ras.tolist(),
    }
