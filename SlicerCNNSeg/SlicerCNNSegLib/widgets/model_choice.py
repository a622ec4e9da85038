"""Choosing a model: what the list shows, and what is said about the chosen one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape

from slicer.i18n import tr as _

from ..engine.catalogue import CatalogueEntry, user_models_folder
from ..engine.classification.model import ClassificationModel
from ..engine.detection.model import DetectionModel
from ..engine.errors import CNNSegError
from ..engine.package import OWN, ModelPackage
from ..worker.estimate import in_words
from ..worker.last_runs import recall

NAMED_LABELS = 6
"""Labels that are named; a model of a hundred structures would fill the panel."""


LONG_TITLE = 16
"""Letters of a title that a combo box of a docked panel still shows; a longer one is told in the label too."""

LEAST_WIDTH_PX = 200
"""Width of a text in a docked panel."""


class ModelChoice:
    """Fills a combo box with the models of a task and describes the chosen one in a label.

    Parameters
    ----------
    combo_box, info_label:
        The widgets.
    task:
        One of ``engine.package.TASKS``.
    on_chosen:
        Called with the model's id when the user has chosen one.
    """

    def __init__(self, combo_box, info_label, task: str, on_chosen: Callable[[str], None]) -> None:
        self._combo_box, self._info_label = combo_box, info_label
        self._task, self._on_chosen = task, on_chosen
        self._entries: list[CatalogueEntry] = []
        self._updating = False
        combo_box.currentIndexChanged.connect(self._chosen)

    def disconnect(self) -> None:
        """Let go of the widgets."""
        self._combo_box.currentIndexChanged.disconnect(self._chosen)

    def fill(self, entries: Sequence[CatalogueEntry]) -> None:
        """List the models of the task, and greyed, with the reason, those that cannot be read."""
        chosen = self.id
        self._entries = [
            _checked(entry) for entry in entries if entry.package is None or entry.package.task == self._task
        ]
        self._updating = True
        self._combo_box.clear()
        for number, (entry, name) in enumerate(zip(self._entries, names_of(self._entries), strict=True)):
            self._combo_box.addItem(name if entry.package else _("{id} (cannot be used)").format(id=name))
            if entry.package is None:
                item = self._combo_box.model().item(number)
                item.setEnabled(False)
                item.setToolTip(escape(entry.problem))
        self._updating = False
        self.select(chosen)

    def select(self, model_id: str) -> None:
        """Choose a model by its id; an unknown id chooses none."""
        ids = [entry.id for entry in self._entries]
        self._updating = True
        self._combo_box.currentIndex = ids.index(model_id) if model_id in ids else -1
        self._updating = False
        self.describe()

    @property
    def entry(self) -> CatalogueEntry | None:
        """The chosen model, or None."""
        index = self._combo_box.currentIndex
        return self._entries[index] if 0 <= index < len(self._entries) else None

    @property
    def first_usable(self) -> str:
        """Id of the first model that can be used, or empty."""
        return next((entry.id for entry in self._entries if entry.package), "")

    def lists(self, model_id: str) -> bool:
        """Whether the list has a model of that id that can be used."""
        return any(entry.id == model_id and entry.package for entry in self._entries)

    @property
    def id(self) -> str:
        """The chosen model's id, or empty."""
        return self.entry.id if self.entry else ""

    def keep_room(self, shown: bool) -> None:
        """Keep room for all of the description where it is shown: a tab does not ask how high wrapped text becomes."""
        label = self._info_label
        label.minimumHeight = label.heightForWidth(max(label.width, LEAST_WIDTH_PX)) if shown else 0

    def _chosen(self, _current: object) -> None:
        if not self._updating:
            self.describe()
            self._on_chosen(self.id)

    def describe(self) -> None:
        """Say what is known of the chosen model; after a run that is more."""
        entry = self.entry
        if entry is not None:
            text = describe_model(entry.package) if entry.package else entry.problem
        elif self._entries:
            text = _("Choose a model.")
        else:
            text = _("There is no model; put a model folder into {folder}.").format(folder=user_models_folder())
        self._info_label.text = text
        package = entry.package if entry else None
        # a tool tip shows HTML, and a model's texts may come from anywhere
        self._combo_box.toolTip = f"<b>{escape(package.title)}</b><br>{escape(package.description)}" if package else ""
        self._info_label.toolTip = escape(package.intended_use) if package else ""


def names_of(entries: Sequence[CatalogueEntry]) -> list[str]:
    """The models' titles, with the id where several have the same one; of one that cannot be read its id."""
    titles = [entry.package.title if entry.package else entry.id for entry in entries]
    counts = Counter(titles)
    return [
        title if counts[title] == 1 else f"{title} ({entry.id})" for title, entry in zip(titles, entries, strict=True)
    ]


def describe_model(package: ModelPackage) -> str:
    """What a model finds or tells apart, in which images, and its licence."""
    names = [one.name for one in package.classes or package.labels]
    found = ", ".join(names[:NAMED_LABELS])
    if len(names) > NAMED_LABELS:
        found = _("{names} and {count} more").format(names=found, count=len(names) - NAMED_LABELS)
    what = _("Tells apart: {found}") if package.classes else _("Finds: {found}")
    images = _("Images: {modality}. Licence: {licence}. {size}").format(
        modality=package.modality or _("any"), licence=package.licence, size=size_in_words(package.size_bytes)
    )
    title = package.title if len(package.title) > LONG_TITLE else ""
    lines = (title, what.format(found=found), images, last_run_in_words(package), package.demonstration)
    return "\n".join(filter(None, lines))


def size_in_words(size_bytes: int) -> str:
    """A size on disk in megabytes (10^6 bytes), as disks count."""
    text = f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 50_000 else "< 0.1 MB"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def last_run_in_words(package: ModelPackage) -> str:
    """How long the model's last run took on this computer; "" before the first one."""
    last = recall(package)
    if last is None:
        return ""
    return _("Last run here: {time} on {device}").format(time=in_words(last.seconds), device=last.device)


def _checked(entry: CatalogueEntry) -> CatalogueEntry:
    """The entry; of a model that cannot be run, without its package and with the reason."""
    package = entry.package
    try:
        if package is not None and package.task == "classification":
            ClassificationModel.of(package)
        elif package is not None and package.task == "detection" and package.form == OWN:
            DetectionModel.of(package)
    except CNNSegError as error:
        return replace(entry, package=None, problem=str(error))
    return entry
