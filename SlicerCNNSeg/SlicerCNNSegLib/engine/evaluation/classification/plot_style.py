"""Colours, frames and legends of the pictures (heavy: matplotlib). Lengths are in inches."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SIDE = 4.6
"""Of the square that holds the curves: the same whatever stands above and below it."""

LEFT, RIGHT, BELOW = 0.62, 0.2, 0.52
STRIP, STRIP_GAP = 0.8, 0.25
"""Height of the strip below a square, and its distance."""

LEGEND_LINE, LEGEND_EDGE = 0.144, 0.24

POINTS, SMALL_POINTS = 9.0, 7.5

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d1f")
"""Okabe and Ito's, which the colour-blind tell apart; their yellow is darkened for white paper."""

OTHERS, GUIDE, TEXT = "#c3c8cd", "#8a9299", "#22262a"
LINES = ("-", (0, (4, 1.5)))
"""Of the first and the second model."""


def square_picture(legend: Sequence[Artist], *, strip: bool = False) -> tuple[Figure, list[Axes]]:
    """A picture with a square for curves, the legend above it, and if wanted a strip of the same width below.

    Parameters
    ----------
    legend:
        Artists with their labels.
    strip:
        Whether there is one.
    """
    bottom = BELOW + (STRIP + STRIP_GAP if strip else 0)
    legend_height = LEGEND_LINE * len(legend) + LEGEND_EDGE
    width, height = LEFT + SIDE + RIGHT, bottom + SIDE + legend_height
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    boxes = [(bottom, SIDE), *([(BELOW, STRIP)] if strip else [])]
    axes = [figure.add_axes((LEFT / width, low / height, SIDE / width, tall / height)) for low, tall in boxes]
    texts = figure.legend(
        handles=legend,
        loc="upper left",
        bbox_to_anchor=(LEFT / width, 1 - LEGEND_EDGE / 2.5 / height),
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.35,
        fontsize=SMALL_POINTS,
        frameon=False,
        labelcolor=TEXT,
        handlelength=2.6,
    ).get_texts()
    for text in texts:
        text.set_parse_math(False)  # a dollar sign in a class's name is just that
    return figure, axes


def frame_unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    """Both axes from 0 to 1, the same length for the same step."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.grid(color="#eceff1", linewidth=0.7)
    axes.set_axisbelow(True)
    dress(axes, x_label, y_label)


def dress(axes: Axes, x_label: str, y_label: str) -> None:
    """Labels, and a frame on two sides."""
    axes.set_xlabel(x_label, color=TEXT, fontsize=POINTS, parse_math=False)
    axes.set_ylabel(y_label, color=TEXT, fontsize=POINTS, parse_math=False)
    axes.tick_params(labelsize=POINTS - 1, color=GUIDE, labelcolor=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GUIDE)
