"""A desktop for the panels without Slicer.

Real Qt widgets (PySide6), the real scene (slicer-core), and stand-ins for what only Slicer's application
has.

``start()`` puts the modules ``qt``, ``ctk`` and the missing parts of ``slicer`` into place, so that a
module file is imported and opened as it is. The panels' code sees properties as PythonQt shows them
(``label.text`` is a value); ``qt_api.json`` holds what PythonQt shows of each class that a stand-in
stands for, and a test holds the stand-ins and the panels' code against it.
"""

from .desktop import Desktop, start

__all__ = ["Desktop", "start"]
