"""How a run goes, and how it ended: progress with a button to cancel, one line in words, details on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slicer.i18n import tr as _

from ..engine.errors import ModalityError
from ..worker.estimate import in_words

SHOWN_WARNINGS = 4
"""More would push the results out of a docked panel; a hundred nodules can have one each."""

ERROR_STYLE = "color: #d9534f"  # readable on Slicer's light and dark styles alike


class RunStatus:
    """Shows a run in a form's widgets progressBar, cancelButton, statusLabel, detailsButton, detailsText.

    Parameters
    ----------
    ui:
        The form's widgets.
    on_cancel:
        Called when the user wants the run to stop.
    place_of_force:
        Where the box "Go on if the modality does not fit" is, in words.
    """

    def __init__(self, ui, on_cancel: Callable[[], None], place_of_force: str = "") -> None:
        self.ui = ui
        self._place_of_force = place_of_force
        self._on_cancel = on_cancel
        ui.cancelButton.clicked.connect(self._cancel)
        ui.detailsButton.toggled.connect(self._toggle_details)

    def disconnect(self) -> None:
        """Let go of the widgets."""
        self.ui.cancelButton.clicked.disconnect(self._cancel)
        self.ui.detailsButton.toggled.disconnect(self._toggle_details)

    def show_running(self, running: bool) -> None:
        """Show or hide the progress."""
        if running and not self.ui.progressBar.visible:
            self.ui.progressBar.value = 0
        self.ui.progressBar.visible = running
        self.ui.cancelButton.visible = running

    def show_progress(self, fraction: float, stage: str, seconds_left: float | None) -> None:
        """How far the run is."""
        self.ui.progressBar.value = round(100 * fraction)
        if seconds_left is not None:
            stage = _("{stage}, about {time} left").format(stage=stage, time=in_words(seconds_left))
        self.say(stage)

    def show_problem(self, problem: Exception | str, details: str = "") -> None:
        """Why a run failed, or could not be started; an error's notes are details."""
        text = str(problem)
        details = details or "\n".join(getattr(problem, "__notes__", ()))
        if isinstance(problem, ModalityError):
            box = f"'{self.ui.forceCheckBox.text}' {self._place_of_force}".strip()
            text = text.replace("go on with --force", _("tick {box}").format(box=box))
        self.say(text, ERROR_STYLE, details)

    def show_result(self, text: str, warnings: Sequence[str]) -> None:
        """What came out, and what a reader of it must know; of many warnings the first, and all of them as details."""
        shown = list(warnings[:SHOWN_WARNINGS])
        more = len(warnings) - len(shown)
        if more:
            shown.append(_("And {count} more warnings: see the details.").format(count=more))
        self.say("\n".join([text, *shown]), details="\n".join(warnings) if more else "")

    def say(self, text: str, style: str = "", details: str = "") -> None:
        """One line for the user; "" for none."""
        self.ui.statusLabel.text = text
        self.ui.statusLabel.styleSheet = style
        self.ui.statusLabel.visible = bool(text)
        self.ui.detailsText.plainText = details
        self.ui.detailsButton.checked = False
        self.ui.detailsButton.visible = bool(details)

    def _cancel(self, _checked: object = None) -> None:
        self.say(_("Cancelling"))
        self._on_cancel()

    def _toggle_details(self, shown: bool) -> None:
        self.ui.detailsText.visible = shown
        self.ui.detailsButton.text = _("Hide details") if shown else _("Show details")
