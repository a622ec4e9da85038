"""Start the desktop, open modules in it, wait in its event loop, take pictures."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import qt_module, segment_editor, slicer_module, stand_ins

ROOT = Path(__file__).resolve().parents[3]
PANEL_CODE = (
    "SlicerCNNSeg",
    "SlicerCNNSegTrain",
    "SlicerCNNSegLib.widgets",
    "SlicerCNNSegTrainLib.widgets",
    "SegmentEditorCNNSegLib",
    "slicer.util",
)
"""Modules that see Qt as PythonQt shows it."""
TRUE_PROPERTIES, PLAIN = 0x02, 0x00
PANEL_WIDTH_PX = 420


class Panel(QtWidgets.QWidget):
    """The widget that Slicer puts a module's panel into."""

    def __init__(self, module_folder: Path) -> None:
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self.moduleFolder = str(module_folder)
        self.isEntered = False


class Desktop:
    """The running desktop; there is one for each process, from ``start``."""

    def __init__(self) -> None:
        self.application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
        self.application.setStyle("Fusion")
        sys.modules["qt"] = qt_module.make_module()
        sys.modules["ctk"] = ModuleType("ctk")
        slicer_module.complete()
        segment_editor.complete()
        self._panels: dict[str, object] = {}
        slicer.util.selectModule = self.select
        slicer.util.getModuleLogic = lambda name: self._panels[name].logic
        self._show_properties()

    def _show_properties(self) -> None:
        import __feature__

        for folder in (ROOT / "SlicerCNNSeg", ROOT / "SlicerCNNSegTrain"):
            if str(folder) not in sys.path:
                sys.path.append(str(folder))
        names = list(PANEL_CODE)
        for package in PANEL_CODE:
            folder = next(ROOT.glob(f"*/{package.replace('.', '/')}"), None)
            names += [f"{package}.{path.stem}" for path in folder.glob("*.py")] if folder else []
        # its first call looks into every module, which torch's made-up ones answer with an error
        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torch"}
        try:
            __feature__.set_selection(TRUE_PROPERTIES, names[0])
        finally:
            sys.modules.update(hidden)
        for name in names:
            __feature__.set_selection(TRUE_PROPERTIES, name)
        for module in ("desktop", "parameter_nodes", "qt_module", "segment_editor", "slicer_module", "stand_ins"):
            __feature__.set_selection(PLAIN, f"{__package__}.{module}")  # else it depends on who calls

    def show_properties_to(self, name: str) -> None:
        """Let a test module see Qt as the panels do."""
        import __feature__

        __feature__.set_selection(TRUE_PROPERTIES, name)

    def open(self, name: str):
        """Open a module as the user does; gives its widget."""
        module = importlib.import_module(name)
        panel = Panel(Path(module.__file__).parent)
        widget = getattr(module, f"{name}Widget")(panel)
        widget.setup()
        panel.isEntered = True
        widget.enter()
        panel.resize(PANEL_WIDTH_PX, panel.sizeHint().height())
        panel.show()
        self.process_events()
        self._panels[name] = widget
        return widget

    def select(self, name: str) -> None:
        """Bring a module into view as the module selector does."""
        if name in self._panels:
            self._panels[name].enter()
        else:
            self.open(name)

    def close(self, widget) -> None:
        """Close a module's panel as Slicer does at its end."""
        self._panels = {name: panel for name, panel in self._panels.items() if panel is not widget}
        widget.exit()
        widget.cleanup()
        widget.parent.hide()
        for selector in widget.parent.findChildren(stand_ins.qMRMLNodeComboBox):
            selector._stop_observing()  # a real one ends here; Python keeps this one as long as anything names it
        widget.parent.deleteLater()
        self.process_events()

    def clear_scene(self) -> None:
        """Close the scene."""
        slicer.mrmlScene.Clear()
        self.process_events()

    def process_events(self) -> None:
        """Handle what has happened so far.

        By an event loop of its own: ``QApplication.processEvents`` of PySide6 6.12 takes a reference to None
        at each call, until Python ends with "deallocating None".
        """
        QtCore.QEventLoop().processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 180.0) -> None:
        """Run the event loop until the condition holds; it must within the time."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"The condition did not hold within {timeout_s} s.")
            self.process_events()
            time.sleep(0.005)

    def picture(self, widget, width_px: int = PANEL_WIDTH_PX) -> QtGui.QPixmap:
        """The panel at a width, as high as it needs."""
        return picture_of(self, widget.parent, width_px)


def picture_of(desktop: Desktop, panel: QtWidgets.QWidget, width_px: int) -> QtGui.QPixmap:
    """A widget at a width, as high as it needs."""
    panel.resize(width_px, panel.minimumSizeHint().height())
    desktop.process_events()
    panel.resize(width_px, max(panel.heightForWidth(width_px), panel.minimumSizeHint().height()))
    desktop.process_events()
    return panel.grab()


@cache
def start() -> Desktop:
    """The process's desktop."""
    _keep_none()
    return Desktop()


def _keep_none() -> None:
    """Give None references in store: PySide6 6.12 takes one away at many calls, and Python ends when none is left.

    From Python 3.12 on None needs none (PEP 683).
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40
