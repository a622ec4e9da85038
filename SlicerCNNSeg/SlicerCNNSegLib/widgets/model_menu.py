"""Managing models from beside the lists: install, import, remove; one menu, at the button of each tab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import qt
import slicer
from slicer.i18n import tr as _

from ..engine.catalogue import CatalogueEntry, list_models
from .model_choice import names_of
from .model_command import ModelCommand
from .model_import import ModelImport
from .model_install import ModelInstall
from .process_job import JobEnd

Changed = Callable[[str], None]


class ModelMenu:
    """The menu, and what it starts.

    Parameters
    ----------
    buttons:
        They open the menu.
    on_added:
        Called with the id of a model that was installed or imported.
    on_removed:
        Called with the id of a model that was removed.
    say:
        Shows a line to the user; whether it tells of a problem is the second argument.
    """

    def __init__(
        self, buttons: Sequence, on_added: Changed, on_removed: Changed, say: Callable[[str, bool], None]
    ) -> None:
        self._on_added, self._on_removed, self._say = on_added, on_removed, say
        self._removing = ModelCommand(self._removed)
        self._id = self._title = ""
        self.menu = qt.QMenu(buttons[0])
        self._actions = [
            self._action(self.menu, _("Install..."), lambda: self.installing.open()),
            self._action(self.menu, _("Import weights..."), lambda: self.importing.open()),
        ]
        self.remove_menu = self.menu.addMenu(_("Remove"))
        self.remove_menu.toolTipsVisible = True
        self.menu.aboutToShow.connect(self._list_removable)
        for button in buttons:
            button.setMenu(self.menu)

    @cached_property
    def installing(self) -> ModelInstall:
        """The dialog that installs, made when it is first asked for."""
        return ModelInstall(self._on_added)

    @cached_property
    def importing(self) -> ModelImport:
        """The dialog for bare weights, made when it is first asked for."""
        return ModelImport(self._on_added)

    @property
    def removing(self) -> bool:
        """Whether a model is being removed."""
        return self._removing.running

    def close(self) -> None:
        """End whatever is under way."""
        made = [vars(self)[name] for name in ("installing", "importing") if name in vars(self)]
        for part in (*made, self._removing):
            part.close()

    def _list_removable(self) -> None:
        """The models, those that came with CNNSeg greyed with the reason."""
        self.remove_menu.clear()
        entries = list_models()
        self._actions[2:] = [self._removal(*one) for one in zip(entries, names_of(entries), strict=True)]
        self.remove_menu.enabled = not self.removing and len(self._actions) > 2

    def _removal(self, entry: CatalogueEntry, title: str):
        if entry.installed:
            return self._action(self.remove_menu, title, partial(self._remove, entry.id, title))
        action = self._action(self.remove_menu, _("{title} (came with CNNSeg)").format(title=title), None)
        action.enabled = False
        action.toolTip = _("It came with CNNSeg and stays.")
        return action

    @staticmethod
    def _action(menu, text: str, call: Callable[[], None] | None):
        action = menu.addAction(text.replace("&", "&&"))
        if call is not None:
            action.triggered.connect(lambda _checked=False: call())
        return action

    def _remove(self, model_id: str, title: str) -> None:
        question = _("Remove {title} from this computer? What it has found stays.")
        if self.removing or not slicer.util.confirmYesNoDisplay(
            question.format(title=title), _("CNNSeg"), textFormat=qt.Qt.PlainText
        ):
            return
        self._id, self._title = model_id, title
        self._removing.start("remove", model_id)
        self._say(_("Removing {title}").format(title=title), False)

    def _removed(self, end: JobEnd) -> None:
        if end.status == 0:
            self._say(_("{title} was removed.").format(title=self._title), False)
            self._on_removed(self._id)
        else:
            self._say(end.problem or _("{title} was not removed.").format(title=self._title), True)
