"""Test-time augmentation by mirroring: which axes are reversed together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def mirrorings(axes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Every set of these axes, the first is none: 2 to the power of their number."""
    return tuple(some for count in range(len(axes) + 1) for some in combinations(axes, count))
