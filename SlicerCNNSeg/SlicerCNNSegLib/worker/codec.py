"""Settings, volumes and results as JSON with arrays beside it; nothing that comes in is ever code.

A dataclass becomes ``{"$class": NAME, "fields": {...}}`` and is made again by its constructor, which checks
it; only the classes of ``CLASSES`` are. Tuples and sets become ``{"$tuple": [...]}`` and
``{"$frozenset": [...]}``. An array becomes ``{"$array": N}``: the N-th of those that go beside the JSON, or
``{"$small": [...], "dtype": ..., "shape": [...]}`` when it is a matrix or the like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..engine.errors import WorkerError

CLASSES = {
    "ClassLabel": "classification.model",
    "ClassificationResult": "classification.result",
    "ClassificationSettings": "settings",
    "Code": "labels",
    "Comparison": "findings.review",
    "ComparisonSettings": "findings.review",
    "Compound": "overlaps",
    "DetectionResult": "detection.result",
    "DetectionSettings": "settings",
    "Explanation": "classification.result",
    "Finding": "findings.finding",
    "Geometry": "volume",
    "Growth": "findings.growth",
    "Label": "labels",
    "Lungs": "findings.lungs",
    "Match": "findings.match",
    "Measurements": "findings.finding",
    "OrientedBox": "findings.boxes",
    "Page": "findings.review",
    "PageSettings": "findings.review",
    "Prediction": "classification.result",
    "Region": "region",
    "RunRecord": "result",
    "SegmentationResult": "result",
    "SegmentationSettings": "settings",
    "SegmentedNodule": "findings.segmenting",
    "Structure": "result",
    "Volume": "volume",
}
"""What may travel: each class with its module of the engine."""

WORKED_OUT = {"SegmentationResult": {"counted": "structures"}}
"""What constructors take besides fields, and the attribute it comes from: counting a large labelmap takes 0.1 s."""

SMALL_VOXELS = 64
"""Arrays up to this size (matrices) travel inside the JSON, which keeps every bit of their numbers."""

KINDS = "biuf"
"""Arrays of whole and real numbers and truth values; numpy's letters."""


def encoded(value: object, arrays: list[np.ndarray]) -> Any:
    """What JSON can hold of a value; its arrays are added to ``arrays``.

    Raises
    ------
    TypeError
        Something in it is of a class that does not travel.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _encoded_array(value, arrays)
    if isinstance(value, tuple):
        return {"$tuple": [encoded(item, arrays) for item in value]}
    if isinstance(value, frozenset):
        return {"$frozenset": [encoded(item, arrays) for item in sorted(value)]}
    if isinstance(value, list):
        return [encoded(item, arrays) for item in value]
    if isinstance(value, Mapping) and not any(str(key).startswith("$") for key in value):
        return {str(key): encoded(item, arrays) for key, item in value.items()}
    name = type(value).__name__
    if is_dataclass(value) and name in CLASSES and type(value) is _class(name):
        own = {key: encoded(getattr(value, attribute), arrays) for key, attribute in _arguments(name).items()}
        return {"$class": name, "fields": own}
    raise TypeError(f"A {name} does not travel between worker and client; the classes that do are in {__name__}.")


def decoded(tree: Any, arrays: Sequence[np.ndarray]) -> Any:
    """The value that ``encoded`` was given.

    Raises
    ------
    WorkerError
        The JSON asks for something that does not travel.
    CNNSegError
        A constructor refuses its values.
    """
    if isinstance(tree, list):
        return [decoded(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree:
        case {"$array": int(index)} if 0 <= index < len(arrays):
            return arrays[index]
        case {"$small": numbers, "dtype": str(dtype), "shape": shape} if np.dtype(dtype).kind in KINDS:
            return np.array(numbers, dtype=dtype).reshape(shape)
        case {"$tuple": list(items)}:
            return tuple(decoded(item, arrays) for item in items)
        case {"$frozenset": list(items)}:
            return frozenset(decoded(item, arrays) for item in items)
        case {"$class": str(name), "fields": dict(own)} if name in CLASSES:
            if own.keys() <= _arguments(name).keys():
                return _class(name)(**{key: decoded(item, arrays) for key, item in own.items()})
    if any(key.startswith("$") for key in tree):
        raise WorkerError(f"Expected something that travels between worker and client, got {str(tree)[:120]}.")
    return {key: decoded(item, arrays) for key, item in tree.items()}


def _encoded_array(array: np.ndarray, arrays: list[np.ndarray]) -> dict[str, Any]:
    if array.dtype.kind not in KINDS:
        raise TypeError(f"An array of {array.dtype} does not travel between worker and client; give it numbers.")
    if array.size <= SMALL_VOXELS:
        return {"$small": array.ravel().tolist(), "dtype": array.dtype.str, "shape": list(array.shape)}
    arrays.append(array)
    return {"$array": len(arrays) - 1}


def _class(name: str) -> Any:
    engine = f"{__package__.rpartition('.')[0]}.engine"
    return getattr(import_module(f"{engine}.{CLASSES[name]}"), name)


def _arguments(name: str) -> dict[str, str]:
    """Names of a constructor's arguments, each with its attribute."""
    return {field.name: field.name for field in fields(_class(name)) if field.init} | WORKED_OUT.get(name, {})
