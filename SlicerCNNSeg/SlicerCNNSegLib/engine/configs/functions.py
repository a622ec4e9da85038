"""The plain functions that a config may call, each harmless for any arguments of bounded size.

The evaluator bounds the size of what goes in and of what comes out. What is left to do here is to
keep out the arguments with which a small value makes a large one.
"""

from __future__ import annotations

import functools
import importlib
import math
import posixpath
from collections.abc import Callable, Iterable
from typing import Any

from .limits import MAX_KEYS

_MAX_DIGITS = 20


def _text(value: Any = "") -> str:
    if not (value is None or isinstance(value, str | int | float)):
        raise TypeError(f"expected a number or a text, got {type(value).__name__}")
    return str(value)


def _round(number: float, digits: int | None = None) -> float:
    if digits is not None and abs(digits) > _MAX_DIGITS:
        raise ValueError(f"expected at most {_MAX_DIGITS} digits, got {digits}")
    return round(number, digits)


def _sum(items: Iterable[Any], start: Any = 0) -> Any:
    items = list(items)
    for item in (*items, start):
        _check_number(item)
    return sum(items, start)


def _sorted(items: Iterable[Any], *, reverse: bool = False) -> list[Any]:
    return sorted(items, reverse=reverse)


def _without_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without its named arguments: the ``key`` of ``max`` would call what a config gives it."""

    @functools.wraps(function, updated=())
    def called(*arguments: Any) -> Any:
        return function(*arguments)

    return called


def _few_keys(function: Callable[..., Any]) -> Callable[..., Any]:
    """``set`` or ``dict`` of no more items than may be compared with one another."""

    @functools.wraps(function, updated=())
    def made(*arguments: Any, **named: Any) -> Any:
        if any(len(items) > MAX_KEYS for items in (*arguments, named)):
            raise ValueError(f"expected at most {MAX_KEYS} items")
        return function(*arguments, **named)

    return made


def _listed(function: Callable[..., Iterable[Any]]) -> Callable[..., list[Any]]:
    """The function's items as a list: an iterator would be empty at the second look."""

    @functools.wraps(function, updated=())
    def listed(*arguments: Any) -> list[Any]:
        return list(function(*arguments))

    return listed


def _join(*parts: str) -> str:
    return posixpath.join(*parts)


def _check_number(value: Any) -> None:
    if isinstance(value, int | float):
        if isinstance(value, int) and value.bit_length() > 62:
            raise ValueError("expected numbers of at most 62 bits")
    elif not (
        type(value).__module__ == "numpy" and getattr(value, "dtype", None) is not None and value.dtype != object
    ):
        raise TypeError(f"expected numbers, got {type(value).__name__}")


def _check_numbers(value: Any) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item)
    else:
        _check_number(value)


def _numpy(name: str) -> Callable[..., Any]:
    """A function of numpy on numbers alone: texts and objects make arrays of any size and cost."""

    def call(data: Any, dtype: Any = None) -> Any:
        _check_numbers(list(data) if isinstance(data, range) else data)
        if isinstance(dtype, str):
            raise TypeError(f"expected a number type such as numpy.float32, got the text {dtype!r}")
        return getattr(importlib.import_module("numpy"), name)(data, **({"dtype": dtype} if dtype is not None else {}))

    return call


def _torch(name: str) -> Callable[..., Any]:
    """A function of torch."""

    def call(*arguments: Any, **named: Any) -> Any:
        target = importlib.import_module("torch")
        for part in name.split("."):
            target = getattr(target, part)
        return target(*arguments, **named)  # type: ignore[operator]

    return call


_PLAIN = (abs, all, any, bool, float, int, len, list, range, tuple)
_NUMPY = ("abs", "array", "ceil", "floor", "log2", "max", "min", "prod", "round", "sqrt", "sum")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in _PLAIN},
    **{function.__name__: _without_options(function) for function in (max, min)},
    **{function.__name__: _few_keys(function) for function in (dict, set)},
    **{function.__name__: _listed(function) for function in (enumerate, reversed, zip)},
    "round": _round,
    "sorted": _sorted,
    "str": _text,
    "sum": _sum,
    **{f"math.{f.__name__}": f for f in (math.ceil, math.floor, math.log, math.log2, math.sqrt)},
    **{f"numpy.{name}": _numpy(name) for name in _NUMPY},
    **{f"os.path.{f.__name__}": f for f in (posixpath.basename, posixpath.dirname, posixpath.normpath)},
    "os.path.join": _join,
    **{f"torch.{name}": _torch(name) for name in ("cuda.is_available", "device", "from_numpy", "tensor")},
}
"""Functions by the name that a config calls them by."""
