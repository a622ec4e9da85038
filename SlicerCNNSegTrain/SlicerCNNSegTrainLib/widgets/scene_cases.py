"""The labelled cases of a scene as a dataset on disk, behind a dialogue that can be cancelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.cases import SceneCases
from ..scene.dataset import WrittenDataset, label_table, write_dataset

if TYPE_CHECKING:
    from ..engine.data.contents import Contents

FULL = 99
"""Where the bar stands before the dialogue is closed: at 100 Qt would reset it, and forget a cancel."""


class DialogProgress:
    """A progress dialogue in front of the panel; an ``engine.progress.Progress``.

    Setting its value handles what the user did meanwhile, and being modal it lets nothing else be done.
    """

    def __init__(self, title: str) -> None:
        self._dialog = slicer.util.createProgressDialog(
            labelText=title, windowTitle=title, windowModality=qt.Qt.ApplicationModal
        )

    def report(self, fraction: float, stage: str) -> None:
        """Move the bar and show the stage."""
        self._dialog.labelText = stage
        self._dialog.value = round(FULL * fraction)

    def cancelled(self) -> bool:
        """Whether Cancel was pressed."""
        return bool(self._dialog.wasCanceled)

    def close(self) -> None:
        """Take the dialogue away."""
        self._dialog.close()
        self._dialog.deleteLater()


def scene_contents(found: SceneCases) -> Contents:
    """What there is to learn in the scene: its segments, as they will be written.

    Raises
    ------
    InputError
        No case has a segment, or a labelmap volume holds no labels.
    """
    from ..engine.data.contents import Contents, FoundLabel
    from ..engine.data.tasks import SEGMENTATION, tasks_of_folders

    table = label_table(found.cases)
    holders = Counter(value for values in table.values.values() for value in set(values.values()))
    labels = tuple(FoundLabel(one.name, holders[one.value], one.value, one.color) for one in table.labels)
    cases = tuple((case.name, "") for case in found.cases)
    return Contents(tasks_of_folders(), {SEGMENTATION: labels}, {SEGMENTATION: cases})


def write_scene_cases(
    found: SceneCases, folder: Path, channels: Sequence[str], *, later_wins: bool
) -> tuple[WrittenDataset, tuple[str, ...]]:
    """Write the cases; gives what was written, and all that a user should look at.

    Raises
    ------
    CNNSegError
        See ``label_table`` and ``write_dataset``; nothing was written.
    """
    table = label_table(found.cases)
    progress = DialogProgress(_("Writing the cases"))
    try:
        written = write_dataset(found.cases, table, folder, channels=channels, later_wins=later_wins, progress=progress)
    finally:
        progress.close()
    return written, (*found.notes, *table.notes, *written.notes)
