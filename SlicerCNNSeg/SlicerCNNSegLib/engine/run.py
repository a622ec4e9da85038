"""The one front door: everything that runs a model comes through ``run``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from .classification.result import ClassificationResult
from .detection.result import DetectionResult
from .errors import SettingsError
from .findings.review import Comparison, ComparisonSettings, Page, PageSettings
from .progress import NoProgress, Progress
from .result import SegmentationResult
from .settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from .volume import Volume


@overload
def run(
    settings: SegmentationSettings, volumes: Sequence[Volume], progress: Progress | None = None
) -> SegmentationResult: ...


@overload
def run(
    settings: ClassificationSettings, volumes: Sequence[Volume], progress: Progress | None = None
) -> ClassificationResult: ...


@overload
def run(
    settings: DetectionSettings, volumes: Sequence[Volume], progress: Progress | None = None
) -> DetectionResult: ...


@overload
def run(settings: ComparisonSettings, volumes: Sequence[Volume], progress: Progress | None = None) -> Comparison: ...


@overload
def run(settings: PageSettings, volumes: Sequence[Volume], progress: Progress | None = None) -> Page: ...


def run(
    settings: SegmentationSettings | ClassificationSettings | DetectionSettings | ComparisonSettings | PageSettings,
    volumes: Sequence[Volume],
    progress: Progress | None = None,
) -> SegmentationResult | ClassificationResult | DetectionResult | Comparison | Page:
    """Run a model on one case, or look once more at what a detector found.

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
    SegmentationResult, ClassificationResult or DetectionResult
        On the grid of the first volume.
    Comparison or Page
        Of findings that are there already.

    Raises
    ------
    CNNSegError
        See ``engine/errors.py``; nothing is written and no state is changed.
    """
    progress = progress or NoProgress()
    if isinstance(settings, SegmentationSettings):
        from .segment import segment

        return segment(settings, volumes, progress)
    if isinstance(settings, ClassificationSettings):
        from .classification.classify import classify

        return classify(settings, volumes, progress)
    if isinstance(settings, DetectionSettings):
        from .detection.detect import detect

        return detect(settings, volumes, progress)
    if isinstance(settings, ComparisonSettings):
        from .findings.reviewing import compare

        return compare(settings, volumes, progress)
    if isinstance(settings, PageSettings):
        from .findings.reviewing import make_page

        return make_page(settings, volumes, progress)
    raise SettingsError(
        "Expected SegmentationSettings, ClassificationSettings, ComparisonSettings, PageSettings or DetectionSettings, "
        f"got {type(settings).__name__}."
    )
