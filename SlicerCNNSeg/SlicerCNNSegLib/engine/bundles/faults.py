"""Errors of MONAI, torch and a bundle's own code, in a line."""

from __future__ import annotations

LONGEST = 300


def reason_of(error: BaseException) -> str:
    """The error that others were raised from (MONAI says "applying transform" of any), its kind and its text."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}"
