"""What a worker is to those who use one, and what it tells them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from ..engine.classification.result import ClassificationResult
from ..engine.detection.result import DetectionResult
from ..engine.errors import CNNSegError
from ..engine.findings.review import Comparison, ComparisonSettings, Page, PageSettings
from ..engine.progress import NoProgress, Progress
from ..engine.result import SegmentationResult
from ..engine.settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from ..engine.volume import Volume
from .peaks import Memory

Settings = SegmentationSettings | ClassificationSettings | DetectionSettings | ComparisonSettings | PageSettings
Result = SegmentationResult | ClassificationResult | DetectionResult | Comparison | Page


@dataclass(frozen=True)
class Progressed:
    """How far a run is: a fraction (0..1), what is under way, and the seconds left, None when unknown."""

    fraction: float
    stage: str
    seconds_left: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a run ended: with a result, or with an error.

    Parameters
    ----------
    result, error:
        One of them is None.
    details:
        Of an error: what the worker's libraries wrote besides.
    log:
        File with all that they wrote.
    memory:
        Of a result: what its run took, where that could be measured.
    """

    result: Result | None = None
    error: CNNSegError | None = None
    details: str = ""
    log: Path | None = None
    memory: Memory | None = None


Event = Progressed | Ended


class Worker(ABC):
    """Runs models in a process of its own, one run after the other.

    ``run`` waits for the result. Who must not wait calls ``start``, and then ``poll`` every few
    milliseconds until it has given an ``Ended``. All calls come from one thread.
    """

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether a run is under way."""

    @abstractmethod
    def start(self, settings: Settings, volumes: Sequence[Volume]) -> None:
        """Begin a run and return at once.

        The volumes' arrays must stay as they are until the stage ``HANDING_OVER`` is over.

        Raises
        ------
        InputError
            A run is under way.
        """

    @abstractmethod
    def poll(self) -> list[Event]:
        """What has happened since the last call, at most some 20 ms of work; the last event of a run is ``Ended``."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask the run to stop; an ``Ended`` with ``Cancelled`` follows within half a second."""

    @abstractmethod
    def close(self) -> None:
        """End the process with whatever is under way; nothing is told any more. It may be used again."""

    @abstractmethod
    def wait(self, timeout_s: float) -> None:
        """Wait until there may be something to poll, at most so long."""

    @overload
    def run(
        self, settings: SegmentationSettings, volumes: Sequence[Volume], progress: Progress | None = None
    ) -> SegmentationResult: ...

    @overload
    def run(
        self, settings: ClassificationSettings, volumes: Sequence[Volume], progress: Progress | None = None
    ) -> ClassificationResult: ...

    @overload
    def run(
        self, settings: DetectionSettings, volumes: Sequence[Volume], progress: Progress | None = None
    ) -> DetectionResult: ...

    @overload
    def run(
        self, settings: ComparisonSettings, volumes: Sequence[Volume], progress: Progress | None = None
    ) -> Comparison: ...

    @overload
    def run(self, settings: PageSettings, volumes: Sequence[Volume], progress: Progress | None = None) -> Page: ...

    def run(self, settings: Any, volumes: Sequence[Volume], progress: Progress | None = None) -> Any:
        """Run a model on one case and wait for the result, as ``engine.run.run`` does.

        Raises
        ------
        CNNSegError
            What the run raised in the worker, or ``WorkerError`` when the worker itself failed.
        """
        progress = progress or NoProgress()
        self.start(settings, volumes)
        try:
            return self._finish(progress)
        except BaseException:
            if self.running:  # Ctrl-C, or an error of the progress
                self.cancel()
                self._until_ended(NoProgress())
            raise

    def _finish(self, progress: Progress) -> Result:
        end = self._until_ended(progress)
        if end.error is not None:
            if end.details:
                end.error.add_note(end.details)
            raise end.error
        assert end.result is not None
        return end.result

    def _until_ended(self, progress: Progress) -> Ended:
        asked = False
        while True:
            for event in self.poll():
                if isinstance(event, Ended):
                    return event
                progress.report(event.fraction, event.stage)
            if progress.cancelled() and not asked:
                self.cancel()
                asked = True
            self.wait(WAIT_S)


WAIT_S = 0.02
"""How long a wish to cancel may go unnoticed by ``Worker.run``."""

HANDING_OVER = "Handing over the volume"
STARTING = "Starting the worker"
