"""How a process of the training panel ended, in words."""

from __future__ import annotations

from slicer.i18n import tr as _

from SlicerCNNSegLib.widgets.process_job import JobEnd

from ..command import STOPPED

CHECKING, PLANNING, TRAINING, EXPORTING = "check", "plan", "train", "export"
"""What the process is doing."""


def end_in_words(task: str, end: JobEnd, model: str, *, stopped: bool, begun: bool, problem: str) -> str:
    """One line.

    Parameters
    ----------
    model:
        Name of the model that it makes.
    stopped, begun:
        Whether the user stopped it; whether a training can go on.
    problem:
        The error that it told, or empty.
    """
    done = {
        CHECKING: _("Checked."),
        PLANNING: _("Planned. Press Start to train."),
        TRAINING: _("Done. The new model is {name}."),
        EXPORTING: _("Exported. The new model is {name}."),
    }
    if end.status == 0:
        return done[task].format(name=model)
    if end.cancelled or stopped or end.status == STOPPED:
        return _("Stopped. Press Resume to go on.") if begun else _("Stopped.")
    return problem or end.problem or _("The process ended with status {n}.").format(n=end.status)
