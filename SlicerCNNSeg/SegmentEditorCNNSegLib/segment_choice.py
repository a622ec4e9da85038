"""Asks which segments a model's structures belong to, where codes and names don't say."""

from __future__ import annotations

from collections.abc import Sequence

import qt
import slicer
from slicer.i18n import tr as _

from SegmentEditorCNNSegLib.effect_run import Target
from SlicerCNNSegLib.scene.segment_matching import Match

NEW, LEAVE_OUT = "", None


class SegmentChoice:
    """A small dialog with a row for each structure, what is likely chosen already.

    Parameters
    ----------
    matches:
        What is known of each structure; those that are sure have rows too.
    segmentation:
        The segments to choose from.
    parent:
        Widget that the dialog belongs to.
    """

    def __init__(self, matches: Sequence[Match], segmentation: slicer.vtkSegmentation, parent) -> None:
        self._matches = tuple(matches)
        self._values = [NEW, *segmentation.GetSegmentIDs(), LEAVE_OUT]
        names = [segmentation.GetSegment(segment_id).GetName() for segment_id in self._values[1:-1]]
        self.dialog = qt.QDialog(parent)
        self.dialog.windowTitle = _("CNN: segments of the structures")
        layout = qt.QFormLayout(self.dialog)
        text = qt.QLabel(_("Codes and names don't say which segments these structures belong to."))
        text.wordWrap = True
        layout.addRow(text)
        self.boxes = []
        for match in self._matches:
            box = qt.QComboBox()
            box.addItems([_("New segment"), *names, _("Leave out")])
            box.currentIndex = self._values.index(match.segment_id)
            layout.addRow(qt.QLabel(match.label.name), box)
            self.boxes.append(box)
        buttons = qt.QDialogButtonBox(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
        buttons.accepted.connect(self.dialog.accept)
        buttons.rejected.connect(self.dialog.reject)
        layout.addRow(buttons)

    def ask(self) -> tuple[Target, ...] | None:
        """Show the dialog and wait; None when the user gave up."""
        accepted = self.dialog.exec_() == qt.QDialog.Accepted
        targets = self.targets() if accepted else None
        self.dialog.deleteLater()
        return targets

    def targets(self) -> tuple[Target, ...]:
        """What is chosen; structures of the same segment go into it together."""
        chosen: dict[tuple[str, int], list] = {}
        for number, (match, box) in enumerate(zip(self._matches, self.boxes, strict=True)):
            segment_id = self._values[box.currentIndex]
            if segment_id is not LEAVE_OUT:
                chosen.setdefault((segment_id, -1 if segment_id else number), []).append(match.label)
        return tuple(Target(tuple(labels), segment_id) for (segment_id, _number), labels in chosen.items())
