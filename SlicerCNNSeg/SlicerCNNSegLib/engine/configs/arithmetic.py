"""Arithmetic of expressions, with results of bounded size."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from .limits import CHARACTERS_PER_STEP, MAX_BITS, MAX_ITEMS, Budget, Place

# Without the matrix product: its sign, @, always starts a reference.
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


def combine(kind: type[ast.operator], left: Any, right: Any, place: Place, budget: Budget) -> Any:
    """The result of ``left kind right``: of numbers, of joined or repeated texts, lists and tuples.

    Raises
    ------
    ConfigError
        Other operands, or a result that is too large or no real number.
    """
    if is_number(left) and is_number(right):
        _check_growth(kind, left, right, place)
        result = _ARITHMETIC[kind](left, right)
        if isinstance(result, complex):
            raise place.fault("the result is no real number")
        return result
    for sequence, times in ((left, right), (right, left)):
        if kind is ast.Mult and isinstance(sequence, str | list | tuple) and is_number(times):
            count = max(0, operator.index(times))
            _check_length(len(sequence) * count, place, budget)
            return sequence * count
    if kind is ast.Add and isinstance(left, str | list | tuple) and type(left) is type(right):
        _check_length(len(left) + len(right), place, budget)
        return operator.add(left, right)
    kinds = f"{type(left).__name__} and {type(right).__name__}"
    raise place.refuse(f"{kind.__name__} of {kinds}", "arithmetic of numbers, and joining of texts and of lists")


def is_number(value: Any) -> bool:
    """Whether a value is a number of Python's or a scalar of numpy's; truth values are."""
    if isinstance(value, int | float):
        return True
    is_scalar = type(value).__module__ == "numpy" and not isinstance(value, str | bytes)
    return is_scalar and getattr(value, "shape", None) == () and hasattr(value, "item")


def _check_growth(kind: type[ast.operator], left: Any, right: Any, place: Place) -> None:
    """Refuse, before it is computed, a whole number that is too large."""
    if kind is ast.Pow and isinstance(left, int) and isinstance(right, int):
        if right * (left.bit_length() - 1) > MAX_BITS:
            raise place.fault(f"a power of more than {MAX_BITS} bits")
    elif kind is ast.LShift and right > MAX_BITS:
        raise place.fault(f"a shift by more than {MAX_BITS} bits")


def _check_length(length: int, place: Place, budget: Budget) -> None:
    if length > MAX_ITEMS:
        raise place.fault(f"{length} items or characters; at most {MAX_ITEMS} are made")
    budget.spend(length // CHARACTERS_PER_STEP, place)
