"""Which structures are the left and the right one of a pair, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LEFT, _RIGHT = ("left", "l", "lt", "lh", "sin", "sinistra"), ("right", "r", "rt", "rh", "dex", "dextra")
_OTHER_SIDE = dict(zip(_LEFT, _RIGHT, strict=True)) | dict(zip(_RIGHT, _LEFT, strict=True))


def mirrored_pairs(names: Mapping[int, str]) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Pairs of label values that change places in a mirrored image, and structures whose other side is missing.

    ``LeftParotid`` and ``RightParotid``, ``kidney_l`` and ``kidney_r``, ``Lung, left`` and ``Lung, right``
    are pairs.

    Parameters
    ----------
    names:
        Label value to name.

    Returns
    -------
    pairs
        Each once, smaller value first.
    alone
        Names with a side whose counterpart is not among the names: such a data set cannot be mirrored.
    """
    by_words = {_words(name): value for value, name in names.items()}
    pairs, alone = set(), []
    for value, name in names.items():
        words = _words(name)
        other = tuple(_OTHER_SIDE.get(word, word) for word in words)
        if other == words:
            continue
        if other in by_words:
            pairs.add((min(value, by_words[other]), max(value, by_words[other])))
        else:
            alone.append(name)
    return tuple(sorted(pairs)), tuple(alone)


def _words(name: str) -> tuple[str, ...]:
    """``RightParotid`` and ``right_parotid`` alike; a number that joins a letter (``L1``) stays with it."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word)
