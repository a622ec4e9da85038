"""CNNSeg's Python API, for Slicer's console and for scripts.

::

    from SlicerCNNSegLib import segment_volume_node
    segmentation = segment_volume_node(getNode("MRHead"), region=getNode("R"))

    from SlicerCNNSegLib import classify_volume_node
    shown = classify_volume_node(getNode("CT"), "my-model", region=getNode("R"), explain="gradcam")
    shown.result.rows()

The names below are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module

__all__ = [
    "WorkerClient",
    "classify_array",
    "classify_file",
    "classify_volume_node",
    "detect_file",
    "detect_volume_node",
    "list_models",
    "load_model",
    "segment_array",
    "segment_file",
    "segment_volume_node",
]


DETECTION = ("detect_file", "detect_volume_node")
"""What lives in ``console_detection.py``, the rest in ``console.py``."""


def __getattr__(name: str) -> object:
    if name in __all__:
        module = "console_detection" if name in DETECTION else "console"
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its names are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
