"""A dialog that runs ``cnnseg models`` in a process of its own, with a line that says how it goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..worker.processes import MODULE_FOLDER
from .model_command import ModelCommand
from .process_job import JobEnd


class ModelDialog(ABC):
    """The dialog of a form.

    Parameters
    ----------
    form:
        Name of the form's file.
    status:
        Name of the label that says how it goes.
    """

    def __init__(self, form: str, status: str) -> None:
        self.dialog = slicer.util.loadUI(str(MODULE_FOLDER / "Resources" / "UI" / f"{form}.ui"))
        self.ui = slicer.util.childWidgetVariables(self.dialog)
        self._status = getattr(self.ui, status)
        self._command = ModelCommand(self._end, self._hear)

    @property
    def running(self) -> bool:
        """Whether the command is under way."""
        return self._command.running

    def close(self) -> None:
        """End a command that is under way, and the dialog."""
        self._command.close()
        self.dialog.reject()

    @abstractmethod
    def _end(self, end: JobEnd) -> None:
        """Show how the command ended."""

    def _hear(self, event: dict[str, Any]) -> None:  # noqa: B027 - not every command tells of itself
        """Show what the command tells meanwhile."""

    def _close(self, _checked: object = None) -> None:
        """Stop the command, or, when none is under way, close the dialog."""
        if self.running:
            self._say(_("Cancelling"))
            self._command.cancel()
        else:
            self.dialog.reject()

    def _say(self, text: str, style: str = "") -> None:
        self._status.text = text
        self._status.styleSheet = style
