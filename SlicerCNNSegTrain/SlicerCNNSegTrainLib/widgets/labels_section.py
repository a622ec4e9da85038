"""The panel's task and labels: what the data allows, and which of its labels are learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from ..command import count_labels
from .tables import Row, fill_table, tool_tip

if TYPE_CHECKING:
    from ..engine.data.contents import Contents, FoundLabel

SEGMENTATION, DETECTION, CLASSIFICATION = "segmentation", "detection", "classification"

REMEMBERED = "SlicerCNNSegTrain/labels"
"""Key of the user's settings: data, task and what was left out, as JSON."""

FADED = 60
"""Opacity, of 255, of the colour of what is left out: dark styles show an empty check box hardly at all."""

SWATCH_PX = 16

COUNT_DELAY_MS = 500
"""A path is typed letter by letter; label files are counted once it rests."""


class LabelsSection:
    """Offers tasks and labels.

    Parameters
    ----------
    ui:
        The form's widgets.
    process:
        Makes what runs ``cnnseg-train``, as ``SlicerCNNSegTrainLogic``: the files of labels are read by a process.
    on_changed:
        Called when the user chose another task, or other labels.
    """

    def __init__(self, ui, process: Callable, on_changed: Callable[[], None]) -> None:
        self.ui, self._on_changed = ui, on_changed
        self._data: Path | None = None
        self._contents: Contents | None = None
        self._left_out: frozenset[str] = frozenset()
        self._fixed, self._planned = "", frozenset[int]()
        self._filling = False
        self._counting: Contents | None = None
        self._job = process(lambda line: None, self._count_ended)
        self._timer = qt.QTimer()
        self._timer.interval = COUNT_DELAY_MS
        self._timer.timeout.connect(self._count)
        self._tasks = {
            SEGMENTATION: _("Segmentation"),
            DETECTION: _("Detection"),
            CLASSIFICATION: _("Classification"),
        }
        for title in self._tasks.values():
            ui.taskComboBox.addItem(title)
        ui.taskComboBox.currentIndexChanged.connect(self._task_chosen)
        ui.labelsTable.cellChanged.connect(self._label_changed)

    @property
    def task(self) -> str:
        """The chosen task."""
        return list(self._tasks)[max(0, self.ui.taskComboBox.currentIndex)]

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the labels to learn; none where all are, or the user has no choice."""
        if self.task != SEGMENTATION or self._fixed:
            return ()
        names = [label.name for label in self._labels]
        kept = tuple(name for name in names if name not in self._left_out)
        return () if len(kept) == len(names) else kept

    @property
    def missing(self) -> str:
        """What is to be done before a training, or an empty text."""
        labels = [] if self._fixed or self.task != SEGMENTATION else self._labels
        if labels and all(label.name in self._left_out for label in labels):
            return _("Check at least one label.")
        return ""

    def show(self, contents: Contents | None, data: Path | None) -> None:
        """Offer what there is to learn in this data; ``data`` is None for cases that lie in the scene."""
        before = {label.name for label in self._labels_of(SEGMENTATION)}
        self._contents, self._data = contents, data
        known = _remembered(data)
        if known or before != {label.name for label in self._labels_of(SEGMENTATION)}:
            self._left_out = frozenset(known.get("left_out", ()))
        self._fill_tasks(known.get("task", ""))
        self._fill_labels()
        self._job.cancel()
        self._timer.stop()
        if self._uncounted:
            self._timer.start()

    def fix(self, reason: str, planned: frozenset[int] = frozenset()) -> None:
        """Let nothing be chosen, for this reason; an empty one lets it again.

        Parameters
        ----------
        planned:
            Label values that are learned; none shows what the user chose last.
        """
        if (reason, planned) != (self._fixed, self._planned):
            self._fixed, self._planned = reason, planned
            self._fill_labels()

    def close(self) -> None:
        """End the count."""
        self._timer.stop()
        self._job.close()

    @property
    def _uncounted(self) -> bool:
        """Whether label files are to be read; also where nobody has named the labels."""
        labels = self._labels_of(SEGMENTATION)
        told = self._contents is not None and not self._contents.tasks[SEGMENTATION] and self._data is not None
        return told and (not labels or any(label.cases is None for label in labels))

    @property
    def _labels(self) -> tuple[FoundLabel, ...]:
        return self._labels_of(self.task)

    def _labels_of(self, task: str) -> tuple[FoundLabel, ...]:
        return self._contents.labels.get(task, ()) if self._contents is not None else ()

    def _fill_tasks(self, wanted: str) -> None:
        """Grey what the data does not allow, with the reason, and choose the wanted task, else the first."""
        reasons = self._contents.tasks if self._contents is not None else dict.fromkeys(self._tasks, "")
        allowed = [task for task in self._tasks if not reasons[task]]
        self._filling = True
        for number, task in enumerate(self._tasks):
            item = self.ui.taskComboBox.model().item(number)
            item.setEnabled(task in allowed)
            item.setToolTip(tool_tip([reasons[task]] if reasons[task] else []))
        task = wanted if wanted in allowed else self.task if self.task in allowed else allowed[0]
        self.ui.taskComboBox.currentIndex = list(self._tasks).index(task)
        self._filling = False

    def _fill_labels(self) -> None:
        """Show the labels, checked as they are learned."""
        headers = (_("Class") if self.task == CLASSIFICATION else _("Label"), _("Cases"))
        labels, free = self._labels, self.task == SEGMENTATION and not self._fixed
        total = len(self._contents.cases[self.task]) if labels else 0
        self._filling = True
        fill_table(self.ui.labelsTable, headers, [self._row(label, total) for label in labels])
        flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable
        for number, label in enumerate(labels):
            item = self.ui.labelsTable.item(number, 0)
            item.setCheckState(qt.Qt.Checked if self._is_learned(label) else qt.Qt.Unchecked)
            _show_color(item, label)
            item.setFlags(flags | qt.Qt.ItemIsEnabled if free else flags)
        self._filling = False
        header = self.ui.labelsTable.horizontalHeader()
        header.stretchLastSection = False  # names are longer than numbers
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.ResizeToContents)
        for widget in (self.ui.labelsLabel, self.ui.labelsTable):
            widget.visible = bool(labels)

    def _row(self, label: FoundLabel, total: int) -> Row:
        counted = label.cases is not None
        cases = _("{n} of {total}").format(n=label.cases, total=total) if counted else "?"
        reasons = [label.name, self._fixed] if self._fixed else [label.name]
        if not counted:
            reasons.append(_("The cases that hold it are not counted yet."))
        if self.task == SEGMENTATION and not self._fixed:
            reasons.append(_("Unchecked, it is learned as background."))
        elif self.task != SEGMENTATION:
            reasons.append(_("What is learned of it, the recipe says."))
        return Row((label.name, cases), tuple(reasons))

    def _is_learned(self, label: FoundLabel) -> bool:
        if self._planned and label.value:
            return label.value in self._planned
        return bool(self._fixed) or self.task != SEGMENTATION or label.name not in self._left_out

    def _task_chosen(self, _index=None) -> None:
        if not self._filling:
            self._remember()
            self._fill_labels()
            self._on_changed()

    def _label_changed(self, row: int, column: int) -> None:
        """Keep what a check says; its name a user cannot change."""
        if self._filling or column != 0:
            return
        item, label = self.ui.labelsTable.item(row, column), self._labels[row]
        checked = item.checkState() == qt.Qt.Checked
        self._left_out = self._left_out - {label.name} if checked else self._left_out | {label.name}
        self._filling = True
        _show_color(item, label)
        self._filling = False
        self._remember()
        self._on_changed()

    def _remember(self) -> None:
        if self._data is not None:
            kept = {"data": str(self._data), "task": self.task, "left_out": sorted(self._left_out)}
            slicer.app.userSettings().setValue(REMEMBERED, json.dumps(kept))

    def _count(self) -> None:
        """Start to count, unless another count is still ending; its end starts this one."""
        self._timer.stop()
        if not self._job.running:
            self._counting = self._contents
            _output().unlink(missing_ok=True)
            self._job.start(count_labels(self._data, _output()))

    def _count_ended(self, _end) -> None:
        from ..engine.data.contents import Contents

        if self._counting is not self._contents:
            if self._uncounted:
                self._timer.start()
            return
        try:
            counted = Contents.from_json(json.loads(_output().read_text(encoding="utf-8")))
        except (OSError, ValueError):  # it was ended, or has failed, of which the data check will tell
            return
        self._contents = counted
        self._fill_labels()
        self._on_changed()


def _show_color(item, label: FoundLabel) -> None:
    """The label's colour before its name, faded when it is not checked."""
    red, green, blue = (round(255 * part) for part in label.color)
    opacity = 255 if item.checkState() == qt.Qt.Checked else FADED
    swatch = qt.QPixmap(SWATCH_PX, SWATCH_PX)
    swatch.fill(qt.QColor(red, green, blue, opacity))
    icon = qt.QIcon(swatch)
    icon.addPixmap(swatch, qt.QIcon.Disabled)  # else its colour is lost where nothing can be chosen
    item.setIcon(icon)


def _output() -> Path:
    return Path(slicer.app.temporaryPath) / "cnnseg-labels.json"


def _remembered(data: Path | None) -> dict:
    """What was chosen last for this data; nothing of other data."""
    kept = slicer.app.userSettings().value(REMEMBERED) if data is not None else None
    known = json.loads(kept) if kept else {}
    return known if known.get("data") == str(data) else {}
