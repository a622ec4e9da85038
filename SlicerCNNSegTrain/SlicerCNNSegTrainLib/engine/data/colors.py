"""Colours of structures that nobody has given any."""

from __future__ import annotations

import colorsys

GOLDEN = 0.618034
"""Share of the circle of hues from one label to the next: neighbours differ most, however many there are."""


def label_color(index: int) -> list[float]:
    """A colour that differs from its neighbours in hue, and from the next ones of its hue in lightness."""
    hue, saturation, value = (index * GOLDEN + 0.08) % 1, (0.85, 0.55)[index // 8 % 2], (0.95, 0.75)[index // 4 % 2]
    return [round(part, 2) for part in colorsys.hsv_to_rgb(hue, saturation, value)]
