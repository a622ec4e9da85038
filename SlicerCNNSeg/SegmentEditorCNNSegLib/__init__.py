"""The Segment Editor effect *CNN*.

Slicer takes the name of this folder as that of the effect's module, and looks for the class in it.
"""

from SegmentEditorCNNSegLib.SegmentEditorEffect import SegmentEditorEffect

__all__ = ["SegmentEditorEffect"]
