"""Whether a network takes windows of a size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError
from .facts import NetworkFacts
from .registry import facts_of, name_of


def check_window(definition: Mapping[str, Any], size: Sequence[int]) -> None:
    """Refuse a window that the network of a definition cannot be run on.

    Parameters
    ----------
    size:
        Voxels along each axis of the network: three for a 3-D one, two for a 2-D one.

    Raises
    ------
    ModelError
        It has another number of axes, a side that is too small or no multiple of the network's
        stride, or is not the one window that the network is made for; the message says what is
        wanted and names the nearest that fit. See also ``facts_of``.
    """
    name, facts, window = name_of(definition), facts_of(definition), tuple(size)
    dims = facts.spatial_dims[0]
    if len(window) != dims:
        raise ModelError(
            f"The network {name} is {dims}-D here: expected a window of {dims} sides, got {_text(window)}."
        )
    if facts.size and window != facts.size:
        raise ModelError(
            f"The network {name} is made for windows of {_text(facts.size)} voxels, got {_text(window)}; "
            "take that size, or change it in the network's definition."
        )
    if not _fits(window, facts):
        wanted = "multiples of" if facts.divisible else "of at least"
        larger = ", not all of them that small" if facts.deepest > 1 else ""
        raise ModelError(
            f"The network {name} needs windows whose sides are {wanted} {_text(facts.stride)} voxels{larger}, "
            f"got {_text(window)}; take {' or '.join(_text(near) for near in _nearest(window, facts))}."
        )


def _fits(window: tuple[int, ...], facts: NetworkFacts) -> bool:
    voxels = math.prod(n // stride for n, stride in zip(window, facts.stride, strict=True))  # 0: a side is too small
    return voxels >= facts.deepest and all(n % d == 0 for n, d in zip(window, facts.divisor, strict=True))


def _nearest(window: tuple[int, ...], facts: NetworkFacts) -> list[tuple[int, ...]]:
    """The windows that fit with all sides rounded down, and with all rounded up; the smallest where neither fits."""
    sides = list(zip(window, facts.divisor, facts.stride, strict=True))
    down = tuple(max(stride, n - n % divisor) for n, divisor, stride in sides)
    up = tuple(max(stride, n + -n % divisor) for n, divisor, stride in sides)
    found = [near for near in dict.fromkeys((down, up)) if _fits(near, facts)]
    return found or [tuple(facts.deepest * stride for stride in facts.stride)]


def _text(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
