"""What the panel wants of a task's tab: to show the parameters, to make a request of them, to show the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from slicer.i18n import tr as _

from ..engine.catalogue import list_models
from ..engine.package import ModelPackage
from .model_choice import ModelChoice
from .run_estimate import estimate_in_words
from .worker_run import RunEnd

StartRun = Callable[[Callable[[], Any]], None]
"""Starts a run of the request that the call gives; what is wrong with it is shown to the user."""

Settings = TypeVar("Settings")


class TaskTab(ABC):
    """One task of the panel.

    Parameters
    ----------
    ui:
        The form's widgets; a tab uses those of its own page and of its own results.
    combo_box, info_label:
        Those of them that choose the model.
    start_run:
        What the tab's own buttons start runs with.
    """

    task: str
    """One of ``engine.package.TASKS``."""

    model_parameter: str
    """The parameter that holds the model's id."""

    region_parameters: tuple[str, str] | None = None
    """Those that hold a node, to which a run is restricted, and the margin around it; None where there are none."""

    def __init__(self, ui, combo_box, info_label, start_run: StartRun) -> None:
        self.ui = ui
        self._start_run = start_run
        self._parameters: Any = None
        self.models = ModelChoice(combo_box, info_label, self.task, self._model_chosen)

    @property
    def package(self) -> ModelPackage | None:
        """The chosen model, if it can be run."""
        entry = self.models.entry
        return entry.package if entry is not None else None

    def connect_parameters(self, parameters: Any) -> None:
        """Keep what is chosen in this parameter node from now on; None for none."""
        self._parameters = parameters
        if parameters is not None:
            self.models.fill(list_models())
            if not getattr(parameters, self.model_parameter):
                setattr(parameters, self.model_parameter, self.models.first_usable)

    def show_parameters(self) -> None:
        """Show what the parameter node holds."""
        chosen = getattr(self._parameters, self.model_parameter)
        if self.models.id != chosen:
            self.models.select(chosen)

    def _settings(self, kind: Callable[..., Settings], **others: Any) -> Settings:
        """Settings of this kind with what all tasks have in common, and others."""
        parameters = self._parameters
        return kind(
            model=getattr(parameters, self.model_parameter),
            device=parameters.device,
            precision=parameters.precision,
            mirror=parameters.mirror,
            force=parameters.force,
            **others,
        )

    def _show_margin(self, label: Any, spin_box: Any) -> None:
        """Around segments there is a margin, of an ROI there is none."""
        node, _margin = self.region
        label.visible = spin_box.visible = node is not None and node.IsA("vtkMRMLSegmentationNode")

    def missing(self) -> str:
        """What must be chosen before a run, besides the volumes; "" for nothing."""
        return "" if self.package is not None else _("Choose a model.")

    @property
    def region(self) -> tuple[Any, float]:
        """Node to which the run is restricted, or None, and the margin around it in mm."""
        if self.region_parameters is None:
            return None, 0.0
        node, margin = self.region_parameters
        return getattr(self._parameters, node), getattr(self._parameters, margin)

    def estimate(self, volume_node: Any) -> str:
        """What a run on this volume will take, in words; by the last one on this computer."""
        if self.package is None or volume_node is None:
            return _("Choose a volume and a model.")
        return estimate_in_words(self.package, volume_node, *self.region)

    @abstractmethod
    def request(self, volume_nodes: tuple[Any, ...]) -> Any:
        """What to run on the volumes.

        Raises
        ------
        CNNSegError
            A value makes no sense.
        """

    @abstractmethod
    def show_result(self, end: RunEnd, seconds: int) -> str:
        """Show the result of a run that took so long; gives the line that says what came out."""

    @abstractmethod
    def show_results(self, *, current: bool) -> None:
        """Show the last result as long as the tab is the current one and the scene has it."""

    @abstractmethod
    def forget_results(self) -> None:
        """Show no result any more: what was found stays in the scene, but is not what is asked for now."""

    def show_running(self, running: bool) -> None:  # noqa: B027 - most tabs have nothing to lock
        """Lock the tab's own buttons while a run is under way."""

    def model_added(self, model_id: str) -> bool:
        """List a new model, and choose it if it is for this task; gives whether it is."""
        self.models.fill(list_models())
        mine = self.models.lists(model_id)
        if mine:
            self._model_chosen(model_id)
        return mine

    def model_removed(self, model_id: str) -> None:
        """List the model no more; where it was the chosen one, another one is."""
        self.models.fill(list_models())
        chosen = getattr(self._parameters, self.model_parameter) if self._parameters is not None else ""
        if chosen == model_id and not self.models.lists(model_id):  # the user's own may have hidden a shipped one
            self._model_chosen(self.models.first_usable)

    def _model_chosen(self, model_id: str) -> None:
        if self._parameters is not None:
            setattr(self._parameters, self.model_parameter, model_id)
