"""The panel's cases: where they come from, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SlicerCNNSegLib.engine.errors import Cancelled, CNNSegError

from ..scene.cases import SceneCases, find_cases
from .case_rows import checked_rows, checked_words, listed_rows, scene_rows
from .run_state import free_folder, own_folder
from .scene_cases import scene_contents, write_scene_cases
from .tables import Row, fill_table

if TYPE_CHECKING:
    from ..engine.data.contents import Contents

FOLDER, TABLE, SCENE = range(3)
"""Where cases come from, in the order of the combo box."""


class CasesSection:
    """Shows the cases of a folder, a table or the scene.

    Parameters
    ----------
    ui:
        The form's widgets.
    scene:
        Where labelled cases are looked for.
    on_changed:
        Called when other data was chosen.
    """

    def __init__(self, ui, scene, on_changed: Callable[[], None]) -> None:
        self.ui, self._scene, self._on_changed = ui, scene, on_changed
        self.contents: Contents | None = None
        """What there is to learn; None where no cases are listed."""
        for text in (_("A folder"), _("A table (CSV)"), _("The scene")):
            ui.sourceComboBox.addItem(text)
        ui.sourceComboBox.currentIndexChanged.connect(self._chosen)
        ui.dataPathEdit.currentPathChanged.connect(self._chosen)
        ui.tablePathEdit.currentPathChanged.connect(self._chosen)
        ui.channelsLineEdit.editingFinished.connect(self._chosen)
        ui.sceneButton.clicked.connect(self._write_scene)
        ui.scenePathEdit.currentPath = str(free_folder(own_folder("datasets") / "scene"))
        self._show()

    @property
    def data(self) -> Path | None:
        """The chosen folder or table; None when there is none, or the scene's cases are not written yet."""
        edits = {FOLDER: self.ui.dataPathEdit, TABLE: self.ui.tablePathEdit}
        edit = edits.get(self.ui.sourceComboBox.currentIndex)
        return Path(edit.currentPath) if edit is not None and edit.currentPath else None

    @property
    def missing(self) -> str:
        """What is to be done before there is data, or an empty text."""
        if self.ui.sourceComboBox.currentIndex == SCENE:
            return _("Press 'Write the cases': a training reads files.")
        return "" if self.data else _("Choose a dataset.")

    def show_report(self, path: Path) -> None:
        """Show what a data check has written."""
        report = json.loads(path.read_text(encoding="utf-8"))
        self._fill(checked_rows(report), checked_words(report))

    def refresh(self) -> None:
        """Look at the scene again when its cases are shown."""
        if self.ui.sourceComboBox.currentIndex == SCENE:
            self._chosen()

    def _chosen(self, _value=None) -> None:
        self._show()
        self._on_changed()

    def _show(self) -> None:
        """Show the fields of the source, and its cases."""
        source = self.ui.sourceComboBox.currentIndex
        for shown, widgets in (
            (source == FOLDER, (self.ui.dataLabel, self.ui.dataPathEdit)),
            (source == TABLE, (self.ui.tableLabel, self.ui.tablePathEdit)),
            (source == SCENE, (self.ui.sceneLabel, self.ui.scenePathEdit, self.ui.sceneButton)),
            (source == SCENE, (self.ui.channelsLabel, self.ui.channelsLineEdit)),
        ):
            for widget in widgets:
                widget.visible = shown
        self.ui.checkButton.visible = source != SCENE
        if source == SCENE:
            self._show_scene()
        else:
            self._show_data()

    def _show_data(self) -> None:
        """List the cases, without reading an image."""
        from ..engine.data.contents import look_into

        self.contents = None
        if self.data is None:
            self._fill([], "")
            return
        try:
            contents = look_into(self.data)
        except CNNSegError as error:
            self._fill([], str(error))
            return
        if not contents.cases:
            self._fill([], " ".join(contents.tasks.values()))
            return
        rows, self.contents = listed_rows(contents), contents
        self._fill(rows, _("{cases} cases.").format(cases=len(rows)))

    def _show_scene(self) -> None:
        self.contents = None
        found = self._found()
        if found is None:
            return
        self._fill(scene_rows(found), _("{cases} cases in the scene.").format(cases=len(found.cases)), _("Truth"))
        try:
            self.contents = scene_contents(found)
        except CNNSegError as error:
            self.ui.casesLabel.text = str(error)

    def _found(self) -> SceneCases | None:
        """The scene's cases; the reason is shown where there are none."""
        try:
            found = find_cases(self._scene, self._channels())
        except CNNSegError as error:
            self._fill([], str(error))
            self.ui.sceneButton.enabled = False
            return None
        self.ui.sceneButton.enabled = True
        return found

    def _channels(self) -> list[str]:
        return [word for word in re.split(r"[,;\s]+", self.ui.channelsLineEdit.text) if word]

    def _write_scene(self, _checked=False) -> None:
        """Write the scene's cases, and go on with the folder."""
        found = self._found()
        if found is None:
            return
        folder = Path(self.ui.scenePathEdit.currentPath)
        try:
            written, notes = write_scene_cases(
                found, folder, self._channels(), later_wins=self.ui.laterWinsCheckBox.checked
            )
        except Cancelled:
            self.ui.casesLabel.text = _("Cancelled; nothing was written.")
            return
        except CNNSegError as error:
            self.ui.casesLabel.text = str(error)
            return
        self.ui.dataPathEdit.currentPath = str(written.folder)
        self.ui.sourceComboBox.currentIndex = FOLDER
        self.ui.casesLabel.text = "\n".join([self.ui.casesLabel.text, *notes])
        self.ui.scenePathEdit.currentPath = str(free_folder(folder))

    def _fill(self, rows: list[Row], words: str, last: str = "") -> None:
        fill_table(self.ui.casesTable, (_("Case"), _("Part"), last or _("Check")), rows)
        self.ui.casesTable.visible = bool(rows)
        self.ui.casesLabel.text = words
        self.ui.casesLabel.visible = bool(words)
