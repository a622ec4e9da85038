"""The one front door: everything that runs a model comes through ``run``."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import SettingsError
from .progress import NoProgress, Progress
from .result import SegmentationResult
from .settings import SegmentationSettings
from .volume import Volume


def run(
    settings: SegmentationSettings, volumes: Sequence[Volume], progress: Progress | None = None
) -> SegmentationResult:
    """Run a model on one case.

    Parameters
    ----------
    settings:
        What to do; its class decides the task.
    volumes:
        The case's volumes. Their channels, in order or by name, are the model's input channels.
    progress:
        Told how far the run is; asked whether to stop.

    Returns
    -------
    SegmentationResult
        On the grid of the first volume.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``; nothing is written and no state is changed.
    """
    progress = progress or NoProgress()
    if isinstance(settings, SegmentationSettings):
        from .segment import segment

        return segment(settings, volumes, progress)
    raise SettingsError(f"Expected SegmentationSettings, got {type(settings).__name__}.")
