"""The engine: everything that CNNSeg computes, with no Slicer and no Qt.

Floors: see ``docs/architecture.md``. Modules listed there as *light* import only the standard
library and numpy; the heavy ones (torch, MONAI, SimpleITK, ...) are imported when they are used.
"""
