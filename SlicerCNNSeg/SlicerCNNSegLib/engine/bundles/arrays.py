"""Small ``.pt`` files with arrays of numpy, which configs of searched networks (DiNTS) read their structure from.

``torch.load(weights_only=True)`` lets only names through that it is told of. These are numpy's own for arrays, each
bounded: arrays begin empty and number types are plain, so that nothing is larger than the file and nothing is called.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch

PLAIN_TYPES = tuple(np.dtype(code) for code in "?bBhHiIlLqQefd")
"""Truth values, whole numbers and fractions: no objects, texts or records."""


def plain_arrays() -> AbstractContextManager[None]:
    """While it lasts, ``torch.load(weights_only=True)`` also reads arrays and numbers of numpy."""
    kinds = {type(kind) for kind in PLAIN_TYPES}
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    names: list[object] = [(_empty, f"{module}._reconstruct") for module in modules]
    names += [(_number, f"{module}.scalar") for module in modules]
    return torch.serialization.safe_globals([np.ndarray, (_plain_type, "numpy.dtype"), *names, *kinds])  # type: ignore[list-item]


def _empty(kind: object, shape: object, code: object) -> np.ndarray:
    """The array of no size that a pickled array begins as."""
    if kind is not np.ndarray or shape != (0,):
        raise ValueError(f"expected a plain array that begins empty, got {kind} of shape {shape}")
    return np.ndarray((0,), np.int8)


def _plain_type(text: object, *_: object) -> np.dtype:
    kind = next((kind for kind in PLAIN_TYPES if kind.str[1:] == str(text).lstrip("<=>|")), None)
    if kind is None:
        raise ValueError(f"expected a plain number type, got {text!r:.60}")
    return np.dtype(kind.str)


def _number(kind: np.dtype, data: bytes) -> object:
    if kind not in PLAIN_TYPES or not isinstance(data, bytes) or len(data) != kind.itemsize:
        raise ValueError(f"expected a plain number, got {kind}")
    return np.frombuffer(data, kind)[0]
