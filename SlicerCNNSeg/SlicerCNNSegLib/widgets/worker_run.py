"""A run in the worker beside Qt's event loop: from a press on a button to its one end.

What is asked of the worker, and what becomes of the result, is the subclass's. The scene and the worker are passed
in. A run that fails or is cancelled adds nothing to the scene.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import qt
import slicer

from ..engine.errors import Cancelled, CNNSegError, InputError
from ..engine.steps import Steps
from ..engine.volume import Volume
from ..scene.volumes import volume_from_node
from ..worker.interface import Ended, Progressed, Result, Settings, Worker
from ..worker.last_runs import remember

POLL_INTERVAL_MS = 20
"""How often the worker is asked what has happened; less than a screen needs to show it."""

TICK_S = 0.01
"""Work of one tick while the result comes into the scene: large images are copied plane by plane."""

LOADING = 0.98
"""Where the bar stands while the result comes into the scene."""

UNDER_WAY = "A run is under way; wait for its end or cancel it."
REMOVED = "The input volume was removed from the scene during the run; nothing was added."


@dataclass(frozen=True)
class RunEnd:
    """What became of a run.

    Parameters
    ----------
    shown:
        What the subclass has made of the result, or None.
    warnings:
        What a reader of the result must know.
    cancelled:
        Whether the user stopped it.
    problem, details:
        Why it failed: one line, and what the worker wrote besides.
    """

    shown: Any = None
    warnings: tuple[str, ...] = ()
    cancelled: bool = False
    problem: str = ""
    details: str = ""


class WorkerRun(ABC):
    """A run under way; it may be used for one run after the other.

    Parameters
    ----------
    scene:
        Where the nodes are and the result goes. The run stops when its input is removed or the scene is closed.
    worker:
        Runs the model.
    on_progress:
        Called with a fraction (0..1), the stage's name, and the seconds left (None when unknown).
    on_end:
        Called once, with a ``RunEnd``, when the run is over.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        worker: Worker,
        on_progress: Callable[[float, str, float | None], None],
        on_end: Callable[[RunEnd], None],
    ) -> None:
        self._scene, self._worker = scene, worker
        self._on_progress, self._on_end = on_progress, on_end
        self._problem = ""
        self._nodes: Sequence[slicer.vtkMRMLVolumeNode] = ()
        self._ending: Steps[RunEnd] | None = None
        self._outcome: RunEnd | None = None
        self._observers: list[int] = []
        self._timer = qt.QTimer()
        self._timer.interval = POLL_INTERVAL_MS
        self._timer.timeout.connect(self._poll)
        self.running = False

    def cancel(self) -> None:
        """Stop; ``on_end`` follows within half a second. What is in the scene already stays."""
        if self._ending is not None:
            self._ending = None
            self._outcome = RunEnd(problem=self._problem) if self._problem else RunEnd(cancelled=True)
        elif self.running and self._outcome is None:
            self._worker.cancel()

    def close(self) -> None:
        """Stop at once; the worker's process ends too."""
        if self.running:
            self._stop()
            self._worker.close()
            self._on_end(RunEnd(cancelled=True))

    def _prepare(self, result: Result) -> Steps[Any]:
        """What takes time of showing a result, in small pieces; the scene is not touched."""
        yield from ()

    @abstractmethod
    def _show(self, result: Result, prepared: Any) -> RunEnd:
        """Bring the result, and what ``_prepare`` gave, into the scene, where the inputs are as they were."""

    def _check_idle(self) -> None:
        """Raise ``InputError`` when a run is under way, this one or another in the same worker."""
        if self.running or self._worker.running:
            raise InputError(UNDER_WAY)

    def _begin(self, settings: Settings, nodes: Sequence[slicer.vtkMRMLVolumeNode], volumes: Sequence[Volume]) -> None:
        """Hand a run over to the worker and watch it; the volumes are those of the nodes."""
        self._worker.start(settings, volumes)
        self._nodes, self._geometries, self._problem = nodes, [volume.geometry for volume in volumes], ""
        self._given_bytes = sum(volume.array.nbytes for volume in volumes)
        self._ending = self._outcome = None
        self.running = True
        self._observers = [
            self._scene.AddObserver(self._scene.NodeRemovedEvent, self._node_removed),
            self._scene.AddObserver(self._scene.StartCloseEvent, self._scene_closes),
        ]
        self._timer.start()

    def _stop(self) -> None:
        self.running, self._ending = False, None
        self._timer.stop()
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._observers = []

    def _node_removed(self, _scene: object, _event: object) -> None:
        if not all(self._scene.IsNodePresent(node) for node in self._nodes):
            self._problem = REMOVED
            self.cancel()

    def _scene_closes(self, _scene: object, _event: object) -> None:
        self.close()

    def _poll(self) -> None:
        told = self._outcome is not None
        if not told and self._ending is None:
            self._listen()
        if not told and self._ending is not None:
            self._go_on(self._ending)
        if self._outcome is not None and (told or self._outcome.shown is None):
            outcome, self._outcome = self._outcome, None
            self._stop()
            self._on_end(outcome)  # a tick after the scene was changed, which has its views to draw first

    def _listen(self) -> None:
        for event in self._worker.poll() if self.running else ():
            if isinstance(event, Progressed):
                self._on_progress(event.fraction * LOADING, event.stage, event.seconds_left)
            else:
                self._ending = self._steps_to(event)

    def _go_on(self, ending: Steps[RunEnd]) -> None:
        until = time.monotonic() + TICK_S
        try:
            while time.monotonic() < until and self._ending is ending:
                next(ending)
        except StopIteration as end:
            self._ending, self._outcome = None, end.value
        except CNNSegError as error:
            self._ending, self._outcome = None, RunEnd(problem=str(error))

    def _steps_to(self, end: Ended) -> Steps[RunEnd]:
        """From the worker's end to that of the run."""
        if self._problem:
            return RunEnd(problem=self._problem)
        if isinstance(end.error, Cancelled):
            return RunEnd(cancelled=True)
        if end.error is not None:
            return RunEnd(problem=str(end.error), details=end.details)
        assert end.result is not None
        self._on_progress(LOADING, "Adding the result", None)
        yield
        prepared = yield from self._prepare(end.result)
        self._check_inputs()
        shown = self._show(end.result, prepared)
        record = getattr(end.result, "record", None)
        if record is not None:
            remember(record, self._given_bytes, end.memory)
        return shown

    def _check_inputs(self) -> None:
        for node, geometry in zip(self._nodes, self._geometries, strict=True):
            if not self._scene.IsNodePresent(node):
                raise InputError(REMOVED)
            if not volume_from_node(node).geometry.matches(geometry):
                raise InputError(f"The volume {node.GetName()} was moved or changed during the run; apply again.")

    def _still_there(self, node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLNode | None:
        return node if node is not None and self._scene.IsNodePresent(node) else None
