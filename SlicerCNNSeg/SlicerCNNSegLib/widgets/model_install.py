"""The dialog that installs a model: what ``cnnseg models install`` takes, as a form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..engine.errors import CNNSegError, SettingsError
from ..engine.store.downloads import Checksum, is_offline
from ..engine.store.zoo import RUNS, WITH_TRUST, ZooEntry, zoo_entries, zoo_source
from .model_dialog import ModelDialog
from .packages import REQUIREMENTS, ensure_packages
from .process_job import JobEnd
from .run_status import ERROR_STYLE

ZOO, FILE, FOLDER, ADDRESS = range(4)
"""Where a model comes from, in the order of the list."""

ROWS = {
    "zooComboBox": (ZOO,),
    "filePathEdit": (FILE,),
    "folderPathEdit": (FOLDER,),
    "addressEdit": (ADDRESS,),
    "checksumEdit": (FILE, ADDRESS),
    "nameEdit": (FILE, FOLDER),
    "configurationEdit": (FILE, FOLDER),
}
"""Which sources a field is for; its label has the same name and ``Label``."""

NAMED = 6
"""Structures of a published model that are named."""


class ModelInstall(ModelDialog):
    """The dialog; the installation itself runs in a process of its own.

    Parameters
    ----------
    on_installed:
        Called with the model's id when it is installed.
    """

    def __init__(self, on_installed: Callable[[str], None]) -> None:
        super().__init__("SlicerCNNSegInstall", "installStatusLabel")
        self._on_installed = on_installed
        ui = self.ui
        self._licence_shown = False
        self._id = ""
        ui.sourceComboBox.addItems([_("MONAI Model Zoo"), _("Zip or tar file"), _("Folder"), _("Address")])
        self._fill_zoo()
        for edit in (ui.addressEdit, ui.checksumEdit, ui.nameEdit, ui.configurationEdit):
            edit.textChanged.connect(self._chosen)
        for path in (ui.filePathEdit, ui.folderPathEdit):
            path.currentPathChanged.connect(self._chosen)
        for box in (ui.sourceComboBox, ui.zooComboBox):
            box.currentIndexChanged.connect(self._chosen)
        ui.startInstallButton.clicked.connect(self._start)
        ui.closeInstallButton.clicked.connect(self._close)
        self._chosen()

    def open(self) -> None:
        """Show the dialog; what was filled in before is still there."""
        if not self.running:
            self._chosen()
        self.dialog.open()

    def arguments(self) -> list[str]:
        """What was filled in, as arguments of ``cnnseg models install``.

        Raises
        ------
        SettingsError
            Something is missing, or is no checksum.
        """
        ui, source = self.ui, self.ui.sourceComboBox.currentIndex
        chosen = self._zoo_entry
        wanted = {
            ZOO: (chosen.id if chosen else "", _("Choose a model that runs.")),
            FILE: (ui.filePathEdit.currentPath, _("Choose a zip or tar file.")),
            FOLDER: (ui.folderPathEdit.currentPath, _("Choose a folder.")),
            ADDRESS: (ui.addressEdit.text.strip(), _("Give the file's address.")),
        }
        given, missing = wanted[source]
        is_there = {FILE: Path(given).is_file(), FOLDER: Path(given).is_dir()}.get(source, True)
        if not given or not is_there:
            raise SettingsError(missing)
        options = {"--checksum": ui.checksumEdit.text.strip(), "--id": ui.nameEdit.text.strip()}
        options["--configuration"] = ui.configurationEdit.text.strip()
        fields = {"--checksum": "checksumEdit", "--id": "nameEdit", "--configuration": "configurationEdit"}
        options = {name: text for name, text in options.items() if text and source in ROWS[fields[name]]}
        if source == ADDRESS and "--checksum" not in options:
            raise SettingsError(_("Give the checksum that the file's publisher names."))
        if "--checksum" in options:
            Checksum.parse(options["--checksum"])
        flags = ["--replace"] * bool(ui.replaceCheckBox.checked)
        return [given, *(text for pair in options.items() for text in pair), *flags]

    @property
    def _zoo_entry(self) -> ZooEntry | None:
        """The published model that is chosen, if it runs."""
        index = self.ui.zooComboBox.currentIndex
        return self._zoo[index] if 0 <= index < len(self._zoo) and self._zoo[index].status == RUNS else None

    def _fill_zoo(self) -> None:
        """List what is published; what cannot be run is greyed, with the reason."""
        self._zoo = sorted(zoo_entries(), key=lambda entry: (entry.status != RUNS, entry.title.lower()))
        box = self.ui.zooComboBox
        for number, entry in enumerate(self._zoo):
            box.addItem(entry.title)
            if entry.status != RUNS:
                trust = _("It runs when it is trusted alone ({reason}); see 'cnnseg models trust --help'.")
                refused = _("It cannot be run here: {reason}.")
                item = box.model().item(number)
                item.setEnabled(False)
                item.setToolTip((trust if entry.status == WITH_TRUST else refused).format(reason=entry.reason))

    def _chosen(self, _value: object = None) -> None:
        """Show what belongs to the source; a licence that was shown is that of another one."""
        for name, sources in ROWS.items():
            for widget in (getattr(self.ui, name), getattr(self.ui, f"{name}Label")):
                widget.visible = self.ui.sourceComboBox.currentIndex in sources
        entry = self._zoo_entry
        is_zoo = self.ui.sourceComboBox.currentIndex == ZOO
        self.ui.zooInfoLabel.visible = is_zoo
        self.ui.zooInfoLabel.text = describe_published(entry) if is_zoo and entry is not None else ""
        self._show_licence(None)
        self._say("")

    def _start(self, _checked: object = None) -> None:
        with slicer.util.tryWithErrorDisplay(_("The installation could not be started.")):
            try:
                arguments = self.arguments()
                ensure_packages(REQUIREMENTS, _("CNNSeg"))
            except CNNSegError as error:
                self._say(str(error), ERROR_STYLE)
                return
            self._command.start("install", *arguments, "--json", *["--accept-licence"] * self._licence_shown)
            self._show_running(True)
            self._say(_("Starting"))

    def _hear(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "progress":
                self.ui.installProgressBar.value = round(100 * event["fraction"])
                self._say(event["stage"])
            case "licence" if not self._licence_shown:
                self._show_licence(event)
            case "installed":
                self._id = event["id"]

    def _end(self, end: JobEnd) -> None:
        self._show_running(False)
        if end.status == 0:
            self._show_licence(None)
            self._say("")
            self.dialog.accept()
            self._on_installed(self._id)
        elif end.cancelled:
            self._say(_("Cancelled; nothing was installed."))
        elif self._licence_shown and "--accept-licence" in end.problem:
            self._say(_("Read the licence; nothing is installed before it is accepted."))
        else:
            self._say(in_the_dialog(end.problem) or _("The installation failed."), ERROR_STYLE)

    def _show_running(self, running: bool) -> None:
        """Nothing is changed while an installation is under way."""
        names = [*ROWS, "sourceComboBox", "replaceCheckBox", "startInstallButton"]
        for name in names:
            getattr(self.ui, name).enabled = not running
        self.ui.installProgressBar.value = 0
        self.ui.installProgressBar.visible = running
        self.ui.closeInstallButton.text = _("Cancel") if running else _("Close")

    def _show_licence(self, event: dict[str, Any] | None) -> None:
        """Ask for the acknowledgement of this licence; None for none."""
        self._licence_shown = event is not None
        self.ui.licenceLabel.visible = event is not None
        self.ui.licenceText.visible = event is not None and bool(event["text"])
        self.ui.startInstallButton.text = _("Accept and install") if event is not None else _("Install")
        if event is not None:
            about = _("{title} has the licence {licence}. Its use may be restricted.")
            self.ui.licenceLabel.text = about.format(title=event["title"], licence=event["licence"])
            self.ui.licenceText.plainText = event["text"]


def describe_published(entry: ZooEntry) -> str:
    """What a published model finds, in which images, and where it comes from."""
    named = ", ".join(entry.labels[:NAMED])
    more = _("{names} and {count} more").format(names=named, count=len(entry.labels) - NAMED)
    found = (more if len(entry.labels) > NAMED else named) or _("not given")
    lines = [
        _("Task: {task}. Finds: {found}").format(task=entry.task, found=found),
        _("Images: {modality}. Version {version}").format(modality=entry.modality or _("any"), version=entry.version),
        zoo_source() + ".",
    ]
    return "\n".join([*lines, *[_("The network is forbidden here (CNNSEG_OFFLINE).")] * is_offline()])


def in_the_dialog(problem: str) -> str:
    """What the command says, with the dialog's fields in the place of its options."""
    told = {
        "install with --replace to replace it": _("tick 'Replace an installed one'"),
        "give one of their folders, or --configuration": _("give one of their folders, or a configuration"),
        "with --configuration": _("with the configuration"),
    }
    for option, words in told.items():
        problem = problem.replace(option, words)
    return problem
