"""The curves of a training run as a picture (heavy: matplotlib).

On white, as all curves of this project, and as wide as the panel's column: the words keep their size
there, and the dots suffice for a page. Drawn through matplotlib's objects, without global state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter
from scipy.ndimage import gaussian_filter1d

from SlicerCNNSegLib.engine.evaluation.classification.plot_style import (
    COLORS,
    GUIDE,
    LEGEND_LINE,
    OTHERS,
    POINTS,
    SMALL_POINTS,
    TEXT,
    dress,
)
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.wording import elided

from .curves import Curves

WIDTH, DPI = 3.9, 300
"""Inches and dots per inch: 1,170 columns on a page, and letters of 10 dots and more in a panel of 380."""

LEFT, RIGHT, BELOW, GAP = 0.52, 0.26, 0.44, 0.18
HEADER, TIME_AXIS = 0.34, 0.24
HEIGHTS = {"score": 1.7, "loss": 1.2, "rate": 0.4}
"""Inches, from top to bottom."""

PART_COLORS = COLORS[:6]
"""Of the structures; more curves than these could not be told apart."""

SMOOTHED_FROM = 12
"""Losses of fewer validations are drawn as they are."""

SMOOTHING = 1 / 30
"""Standard deviation of the smoothed loss, as a share of the validations."""

DOTTED_UP_TO = 30
"""Validations that get a dot each; more would hide the line."""

LONG_STEPS = 100_000
"""From here on steps are told in thousands."""

ROUND = (1, 2, 2.5, 5, 10)
"""Steps of the ticks, times a power of ten."""

NAME_LENGTH = 38
UNITS = (("s", 1.0, 120.0), ("min", 60.0, 180 * 60.0), ("h", 3600.0, np.inf))
"""Of the time axis: name, seconds, and the longest run in seconds that is told in it."""


def write_curves_plot(path: Path, curves: Curves) -> None:
    """Write the picture of ``draw_curves`` as PNG, whole or not at all.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    figure = draw_curves(curves)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI)


def draw_curves(curves: Curves) -> Figure:
    """The validations' metric, overall and per structure, the training loss and the learning rate, over the steps.

    Time is the second axis, at the top. A dotted line marks the best step. With more structures than
    colours those with the lowest value there get one: they are what a reader should look at.
    """
    colors = _part_colors(curves)
    handles = _legend(curves, colors)
    legend_height = LEGEND_LINE * len(handles)
    heights = [*HEIGHTS.values()]
    height = HEADER + legend_height + TIME_AXIS + sum(heights) + GAP * (len(heights) - 1) + BELOW
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    top, axes = height - HEADER - legend_height - TIME_AXIS, []
    for tall in heights:
        top -= tall
        axes.append(figure.add_axes((LEFT / WIDTH, top / height, (WIDTH - LEFT - RIGHT) / WIDTH, tall / height)))
        top -= GAP
    score, loss, rate = axes
    _draw_scores(score, curves, colors)
    _draw_loss(loss, curves)
    _draw_rate(rate, curves)
    _frame(axes, curves)
    _name(score, f"validation {elided(curves.metric, NAME_LENGTH // 2)}", low=True)
    _name(loss, "training loss")
    _name(rate, "learning rate")
    _add_time_axis(score, curves)
    at = LEFT / WIDTH
    figure.text(at, 1 - 0.17 / height, _title(curves), fontsize=POINTS, fontweight="bold", color=TEXT, va="center")
    legend = figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(at, 1 - HEADER / height),
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.35,
        fontsize=SMALL_POINTS,
        frameon=False,
        labelcolor=TEXT,
        handlelength=2.0,
    )
    for text in (*legend.get_texts(), *figure.texts):
        text.set_parse_math(False)  # a dollar sign in a structure's name is just that
    return figure


def _title(curves: Curves) -> str:
    if curves.best is None:
        return f"No {elided(curves.metric, NAME_LENGTH // 2)} yet"
    best = curves.scores[curves.best]
    return f"Best {elided(curves.metric, NAME_LENGTH // 2)} {best:.3f} at step {curves.steps[curves.best]:,}"


def _part_colors(curves: Curves) -> dict[str, str]:
    """The structures with a colour of their own; none when the only one is the metric itself."""
    names = list(curves.parts)
    if len(names) < 2 or curves.best is None:
        return {}
    if len(names) > len(PART_COLORS):
        ranked = sorted(names, key=lambda name: np.nan_to_num(curves.parts[name][curves.best], nan=np.inf))
        names = [name for name in names if name in ranked[: len(PART_COLORS)]]
    return dict(zip(names, PART_COLORS, strict=False))


def _legend(curves: Curves, colors: Mapping[str, str]) -> list[Line2D]:
    """A line for each curve of the metric with its value at the best step, and one for those that share grey."""
    if not colors:
        return []
    values = {name: curves.parts[name][curves.best] for name in colors}
    handles = [Line2D([], [], color=TEXT, linewidth=2.0, label=f"mean {curves.scores[curves.best]:.3f}")]
    handles += [
        Line2D([], [], color=colors[name], linewidth=1.3, label=f"{elided(name, NAME_LENGTH)} {_number(float(value))}")
        for name, value in values.items()
    ]
    more = len(curves.parts) - len(colors)
    if more:
        handles.append(Line2D([], [], color=OTHERS, linewidth=0.8, label=f"{more} others, with higher values"))
    return handles


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _draw_scores(axes: Axes, curves: Curves, colors: Mapping[str, str]) -> None:
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(curves.steps) <= DOTTED_UP_TO else {}
    for name, values in curves.parts.items() if colors else ():
        color, behind = colors.get(name, OTHERS), name not in colors
        shape: dict[str, Any] = {} if behind else marker
        axes.plot(curves.steps, values, color=color, linewidth=0.8 if behind else 1.2, zorder=3 - behind, **shape)
    axes.plot(curves.steps, curves.scores, color=TEXT, linewidth=2.0, zorder=4, **marker)
    if curves.best is not None:
        point = curves.steps[curves.best], curves.scores[curves.best]
        axes.plot(*point, "o", color=TEXT, markersize=6, markeredgecolor="white", zorder=5, clip_on=False)
    low, high = axes.get_ylim()
    if np.nanmax(curves.scores, initial=-np.inf) <= 1 < high:
        axes.set_ylim(low, 1 + 0.02 * (1 - low))  # a share; a dot at 1 is not halved


def _draw_loss(axes: Axes, curves: Curves) -> None:
    """The loss of each validation's steps; where there are enough of them also smoothed, in front."""
    known = np.isfinite(curves.loss)
    steps, loss = curves.steps[known], curves.loss[known]
    smooth = len(loss) >= SMOOTHED_FROM
    marker: dict[str, Any] = {} if smooth else {"marker": "o", "markersize": 2.5}
    axes.plot(steps, loss, color=COLORS[0], linewidth=0.9 if smooth else 1.5, alpha=0.35 if smooth else 1.0, **marker)
    if smooth:
        smoothed = gaussian_filter1d(loss, max(1.0, SMOOTHING * len(loss)), mode="nearest")
        axes.plot(steps, smoothed, color=COLORS[0], linewidth=1.6)


def _draw_rate(axes: Axes, curves: Curves) -> None:
    axes.fill_between(curves.steps, curves.learning_rate, color=GUIDE, alpha=0.25, linewidth=0)
    axes.plot(curves.steps, curves.learning_rate, color=GUIDE, linewidth=1.0)
    highest = float(np.nanmax(curves.learning_rate, initial=0.0))
    axes.set_ylim(0, 1.1 * highest or 1.0)
    axes.set_yticks([0], ["0"])
    if highest:
        axes.set_yticks([0, highest], ["0", np.format_float_scientific(highest, precision=1, exp_digits=1, trim="-")])


def _frame(axes: list[Axes], curves: Curves) -> None:
    """One axis of steps below all, a grid, and a line at the best step."""
    for each in axes:
        each.set_xlim(0, max(1, int(curves.steps[-1])))
        each.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=ROUND))
        each.grid(color="#eceff1", linewidth=0.7)
        each.set_axisbelow(True)
        last = each is axes[-1]
        dress(each, "step" if last else "", "")
        each.tick_params(labelbottom=last, labelsize=SMALL_POINTS)
        if curves.best is not None:
            each.axvline(curves.steps[curves.best], color=GUIDE, linewidth=0.8, linestyle=":", zorder=1)
    for each in axes[:2]:
        each.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    long = curves.steps[-1] >= LONG_STEPS
    axes[-1].xaxis.set_major_formatter(EngFormatter(sep="") if long else StrMethodFormatter("{x:,.0f}"))


def _name(axes: Axes, name: str, *, low: bool = False) -> None:
    """What the axes show, in the corner that such curves leave free: beside them it would cost width."""
    place: dict[str, Any] = {"y": 0.05, "va": "bottom"} if low else {"y": 0.92, "va": "top"}
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(
        0.985,
        s=name,
        transform=axes.transAxes,
        ha="right",
        fontsize=SMALL_POINTS,
        color=TEXT,
        bbox=box,
        zorder=6,
        **place,
    )


def _add_time_axis(axes: Axes, curves: Curves) -> None:
    """Round times at the steps that were done by then, above the axes."""
    unit, seconds, _ = next(each for each in UNITS if curves.seconds[-1] <= each[2])
    times = np.concatenate([[0.0], curves.seconds]) / seconds
    ticks = [
        tick for tick in MaxNLocator(4, steps=ROUND).tick_values(0, max(times[-1], 1e-9)) if 0 <= tick <= times[-1]
    ]
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks(np.interp(ticks, times, [0, *curves.steps]), [f"{tick:g} {unit}" for tick in ticks])
    above.tick_params(labelsize=SMALL_POINTS, color=GUIDE, labelcolor=TEXT, length=3)
    above.spines[["left", "right", "bottom"]].set_visible(False)
    above.spines["top"].set_color(GUIDE)
