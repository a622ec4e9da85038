"""The panel's plan: what was chosen for the data, and why; the recipe can be edited."""

from __future__ import annotations

import json
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .run_state import RECIPE, discard_plan, was_edited
from .tables import Row, fill_table


class PlanSection:
    """Shows ``plan.json``; ``ui`` holds the form's widgets."""

    def __init__(self, ui) -> None:
        self.ui = ui
        self.clear()

    def clear(self) -> None:
        """Show no plan."""
        self.ui.planCollapsibleButton.visible = False

    def show(self, path: Path) -> None:
        """Show what a plan has chosen."""
        reasons = json.loads(path.read_text(encoding="utf-8"))["reasons"]
        rows = [
            Row((x["field"], f"{x['value']}: {x['why']}"), (f"{x['field']}: {x['value']}", x["why"])) for x in reasons
        ]
        fill_table(self.ui.planTable, (_("What"), _("Chosen, and why")), rows)
        self.ui.planCollapsibleButton.visible = True

    def edit(self, run: Path) -> str:
        """Open the recipe in the system's editor; gives what went wrong, or an empty text."""
        recipe = run / RECIPE
        if qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(recipe))):
            return ""
        return _("No program is set up for {file}; open it in an editor.").format(file=recipe)

    def discard(self, run: Path) -> bool:
        """Remove a plan, after asking when its recipe was edited; whether it is gone."""
        question = _("The recipe was edited. Discard it with the plan?")
        if was_edited(run) and not slicer.util.confirmOkCancelDisplay(question, _("CNNSeg Training")):
            return False
        discard_plan(run)
        self.clear()
        return True
