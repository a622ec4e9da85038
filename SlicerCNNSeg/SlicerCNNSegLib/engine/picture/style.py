"""Sizes and colours of the report's picture.

Lengths are in inches. At 200 dots per inch the picture has 1,800 columns: sharp when shown at 900.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH, DPI = 9.0, 200
MARGIN, GAP = 0.2, 0.1

BACKGROUND, TEXT, QUIET = "#14171a", "#f2f2f2", "#a3abb2"
BODY_POINTS, TITLE_POINTS = 8.5, 11.0

DARKEST_LUMINANCE = 0.3
"""Darker label colours are lightened to this luminance, which stands out from the background (about 5:1)."""

Color = tuple[float, float, float]


def readable_color(color: Sequence[float]) -> Color:
    """The colour, lightened towards white as far as it must be to be seen on the dark background."""
    rgb = np.clip(np.asarray(color, dtype=np.float64), 0, 1)
    luminance = float(rgb @ (0.2126, 0.7152, 0.0722))
    if luminance < DARKEST_LUMINANCE:
        rgb += (1 - rgb) * (DARKEST_LUMINANCE - luminance) / (1 - luminance)
    return float(rgb[0]), float(rgb[1]), float(rgb[2])
