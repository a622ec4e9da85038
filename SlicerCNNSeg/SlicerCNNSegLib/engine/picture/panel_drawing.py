"""The drawing of one panel of the report's picture (heavy: matplotlib)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .panels import Panel
from .style import BODY_POINTS, GAP, MARGIN, QUIET, TEXT, WIDTH, Color
from .views import View

FILL_OPACITY, OUTLINE_POINTS = 0.35, 1.1

CAPTION_HEIGHT = 0.26
"""Inches above each row of panels."""

SCALE_BAR_SHARE = 0.25
"""A scale bar has the longest round length within this share of its panel's width."""

STROKE = [patheffects.withStroke(linewidth=2, foreground="black")]
"""Keeps letters legible on bright tissue."""

LETTER_PLACES = (
    (0.02, 0.5, "left", "center"),
    (0.98, 0.5, "right", "center"),
    (0.5, 0.98, "center", "top"),
    (0.5, 0.02, "center", "bottom"),
)
"""Left, right, top and bottom: x and y as shares of the panel, and the alignment there."""


def draw_row(figure: Figure, bottom: float, row: Sequence[Panel], draw: Callable[[Axes, Panel], None]) -> None:
    """Panels side by side, above ``bottom`` inches, with a scale bar wherever the scale is new.

    ``draw`` fills the axes of one panel.
    """
    left, scale = MARGIN, 0.0
    figure_height = figure.get_figheight()
    for panel in row:
        width, height = panel.size
        axes = figure.add_axes((left / WIDTH, bottom / figure_height, width / WIDTH, height / figure_height))
        draw(axes, panel)
        if panel.mm_per_inch != scale:
            draw_scale_bar(axes, panel)
        scale = panel.mm_per_inch
        left += width + GAP


def draw_panel(axes: Axes, panel: Panel, window: tuple[float, float], colors: Mapping[int, Color]) -> None:
    """Image, structures, letters and caption; the axes become mm from the view's top left corner, y downwards."""
    view = panel.view
    width, height = view.size_mm
    axes.imshow(
        view.image,
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        extent=(0.0, width, height, 0.0),
        interpolation="bilinear",
        aspect="auto",  # the limits below have the aspect already
    )
    draw_structures(axes, view, colors)
    axes.set_title(panel.caption, fontsize=BODY_POINTS, color=TEXT, loc="left", pad=4)
    left, right, top, bottom = panel.shown_mm
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], facecolor="black")
    axes.spines[:].set_visible(False)
    if panel.marked_mm:
        left, right, top, bottom = panel.marked_mm
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=QUIET, linewidth=0.8))
    for letter, (x, y, horizontal, vertical) in zip(view.letters, LETTER_PLACES, strict=True):
        _write(axes, x, y, letter, ha=horizontal, va=vertical, fontweight="bold")


def draw_structures(axes: Axes, view: View, colors: Mapping[int, Color], *, fill: bool = True) -> None:
    """An outline and, if wanted, a translucent fill for each label of the view."""
    padded = np.pad(view.labelmap, 1)  # closes the outlines of structures that touch the edge
    rows, columns = padded.shape
    x_mm = (np.arange(columns) - 0.5) * view.spacing_mm[1]
    y_mm = (np.arange(rows) - 0.5) * view.spacing_mm[0]
    for value, color in colors.items():
        mask = padded == value
        if mask.any():
            if fill:
                axes.contourf(x_mm, y_mm, mask.astype(float), levels=[0.5, 1.5], colors=[color], alpha=FILL_OPACITY)
            axes.contour(x_mm, y_mm, mask.astype(float), levels=[0.5], colors=[color], linewidths=OUTLINE_POINTS)


def draw_scale_bar(axes: Axes, panel: Panel) -> None:
    """A bar of a round length in the panel's lower left corner."""
    width_mm = panel.size[0] * panel.mm_per_inch
    longest_mm = width_mm * SCALE_BAR_SHARE
    power = 10.0 ** np.floor(np.log10(longest_mm))
    length_mm = max(step * power for step in (1, 2, 5) if step * power <= longest_mm)
    left, bottom = 0.03, 0.035
    axes.plot(
        [left, left + length_mm / width_mm],
        [bottom, bottom],
        transform=axes.transAxes,
        color=TEXT,
        linewidth=2,
        solid_capstyle="butt",
        path_effects=[patheffects.withStroke(linewidth=4, foreground="black")],
    )
    _write(axes, left, bottom + 0.12 / panel.size[1], f"{length_mm:g} mm", va="center")


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Text at shares of the panel, legible on any tissue."""
    axes.text(x, y, text, transform=axes.transAxes, color=TEXT, fontsize=BODY_POINTS, path_effects=STROKE, **style)
