"""ROC, precision-recall and reliability pictures of one or two models (heavy: matplotlib).

Drawn through matplotlib's objects on their own canvas, on white, for papers: no window system and no
global state. Two models are told apart by their lines, classes by their colours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...files.atomic import replacing
from ...wording import elided
from .compare import paired
from .curves import precision_recall_curve, roc_curve
from .intervals import share_interval
from .plot_style import COLORS, GUIDE, LINES, OTHERS, dress, frame_unit_square, square_picture
from .tables import BINARY, HIGHEST, MULTI_CLASS, ClassificationTable
from .text import number

FORMATS: dict[str, dict[str, Any]] = {".png": {"dpi": 200}, ".svg": {"metadata": {"Date": None}}}
"""Suffixes, and how they are saved."""

NAME_LENGTH = 26
"""Characters of a model's or a class's name that fit into the legend."""


@dataclass(frozen=True)
class Curve:
    """One class of one model, and how it is drawn."""

    model: int
    column: int
    target: str
    """The class; empty for the highest probability."""
    color: str
    label: str
    """Empty when the legend leaves it out."""

    @property
    def style(self) -> dict[str, Any]:
        """Of its line; those that the legend leaves out lie behind."""
        return {
            "color": self.color,
            "linestyle": LINES[self.model],
            "linewidth": 1.6 if self.label else 0.9,
            "zorder": 3 if self.label else 2,
        }

    def handle(self, metric: str, entry: Mapping[str, Any], **more: Any) -> Line2D:
        """Its line in the legend: name and value, as ``malignant: AUC 0.941 [0.920, 0.961]``."""
        text = f"{self.label}: {metric} {number(entry['value'], entry['ci95'])}"
        return Line2D([], [], **self.style, **more, label=text)


def write_plots(folder: Path, tables: Sequence[ClassificationTable], evaluation: Mapping[str, Any]) -> list[Path]:
    """Write ``roc``, ``precision_recall`` and ``reliability``, each as PNG and SVG.

    Parameters
    ----------
    folder:
        Made where it is missing; files of these names are replaced.
    tables:
        One or two, as they were evaluated.
    evaluation:
        What ``evaluate_classification`` gave for them.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    tables = [tables[0], *(paired(tables[0], other) for other in tables[1:])]
    drawings: dict[str, Callable[[Sequence[ClassificationTable], Mapping[str, Any]], Figure]] = {
        "roc": draw_roc,
        "precision_recall": draw_precision_recall,
        "reliability": draw_reliability,
    }
    files = []
    for name, draw in drawings.items():
        figure = draw(tables, evaluation)
        for suffix, how in FORMATS.items():
            files.append(folder / f"{name}{suffix}")
            with replacing(files[-1]) as part:
                figure.savefig(part, format=suffix.removeprefix("."), **how)
    return files


def draw_roc(tables: Sequence[ClassificationTable], evaluation: Mapping[str, Any]) -> Figure:
    """Sensitivity over 1 - specificity, with each AUC; a dot where the threshold puts a binary decision."""
    curves = _curves(tables, evaluation)
    figure, (axes,) = square_picture(_legend(curves, evaluation, "AUC", "auc"))
    axes.plot([0, 1], [0, 1], color=GUIDE, linewidth=0.8, linestyle=":")
    for curve in curves:
        table, entry = tables[curve.model], _class_entry(evaluation, curve)
        points = roc_curve(table.truth[:, curve.column], table.probabilities[:, curve.column])
        axes.plot(*points, **curve.style)
        if table.kind == BINARY:
            dot = 1 - entry["specificity"]["value"], entry["sensitivity"]["value"]
            axes.plot(*dot, "o", color=curve.color, markersize=6, markeredgecolor="white", zorder=4, clip_on=False)
    frame_unit_square(axes, "1 - specificity", "sensitivity")
    return figure


def draw_precision_recall(tables: Sequence[ClassificationTable], evaluation: Mapping[str, Any]) -> Figure:
    """Precision over recall, with each average precision; dotted what guessing gives: the share of positives."""
    curves = _curves(tables, evaluation)
    figure, (axes,) = square_picture(_legend(curves, evaluation, "PR-AUC", "pr_auc"))
    for curve in curves:
        table = tables[curve.model]
        truth = table.truth[:, curve.column]
        points = precision_recall_curve(truth, table.probabilities[:, curve.column])
        # steps, because no threshold gives what lies on a straight line between two points
        axes.plot(*points, **curve.style, drawstyle="steps-pre")
        if curve.model == 0 and curve.label:
            guess = GUIDE if table.kind == BINARY else curve.color
            axes.axhline(truth.mean(), color=guess, linewidth=0.8, linestyle=":")
    frame_unit_square(axes, "recall (sensitivity)", "precision (positive predictive value)")
    return figure


def draw_reliability(tables: Sequence[ClassificationTable], evaluation: Mapping[str, Any]) -> Figure:
    """How often it is true, over what the model says; below, in how many cases it says so.

    A multi-class table has one curve, of the highest probability. The bars of a single curve of a model
    are Wilson intervals.
    """
    highest = tables[0].kind == MULTI_CLASS
    curves = _highest_curves(evaluation) if highest else _curves(tables, evaluation)
    figure, (axes, below) = square_picture(
        _legend(curves, evaluation, "ECE", "ece", marker="o", markersize=4.5), strip=True
    )
    axes.plot([0, 1], [0, 1], color=GUIDE, linewidth=0.8, linestyle=":")
    for curve in curves:
        bins = evaluation["models"][curve.model]["reliability"][curve.target or HIGHEST]
        _draw_bins(axes, curve, bins, bars=len(curves) <= len(tables))
        edges = [bins[0]["low"], *(each["high"] for each in bins)]
        below.stairs([each["cases"] for each in bins], edges, **{**curve.style, "linewidth": 1.2})
    frame_unit_square(axes, "", "share that is right" if highest else "share that is positive")
    axes.tick_params(labelbottom=False)
    below.set_xlim(axes.get_xlim())
    dress(below, "highest probability of the case" if highest else "probability", "cases")
    return figure


def _draw_bins(axes: Axes, curve: Curve, bins: Sequence[Mapping[str, Any]], *, bars: bool) -> None:
    """The filled bins as a line of dots."""
    filled = [each for each in bins if each["cases"]]
    said = np.array([each["probability"] for each in filled])
    found = np.array([each["positives"] / each["cases"] for each in filled])
    axes.plot(said, found, **curve.style, marker="o", markersize=4.5, clip_on=False)
    if bars:
        intervals = [share_interval(each["positives"], each["cases"]) for each in filled]
        ends = np.array([interval for interval in intervals if interval])
        axes.vlines(said, ends[:, 0], ends[:, 1], color=curve.color, linewidth=1.0, alpha=0.6)


def _legend(
    curves: Sequence[Curve], evaluation: Mapping[str, Any], heading: str, metric: str, **more: Any
) -> list[Line2D]:
    """A line for each curve with a label, and one for all the others."""
    handles = [
        curve.handle(heading, _class_entry(evaluation, curve)[metric], **more) for curve in curves if curve.label
    ]
    others = {curve.column for curve in curves if not curve.label}
    if others:
        handles.append(Line2D([], [], color=OTHERS, linewidth=0.9, label=f"{len(others)} others, with higher AUC"))
    return handles


def _curves(tables: Sequence[ClassificationTable], evaluation: Mapping[str, Any]) -> list[Curve]:
    """Every class of every model that some, but not all cases have.

    With more classes than colours those with the lowest AUC of the first model get one: they are what
    a reader should look at. The others are grey and stay out of the legend.
    """
    truth = tables[0].truth
    columns = [int(n) for n in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))]
    areas = evaluation["models"][0]["classes"]
    ranked = sorted(columns, key=lambda n: areas[tables[0].targets[n]]["auc"]["value"])
    colors = dict(zip(sorted(ranked[: len(COLORS)]), COLORS, strict=False))
    several = len(columns) > 1
    curves = []
    for column in columns:
        for model, described in enumerate(evaluation["models"]):
            parts = [tables[0].targets[column]] if several or len(tables) == 1 else []
            parts += [described["name"]] if len(tables) > 1 else []
            label = ", ".join(elided(part, NAME_LENGTH) for part in parts) if column in colors else ""
            color = colors.get(column, OTHERS) if several else COLORS[model]
            curves.append(Curve(model, column, tables[0].targets[column], color, label))
    return curves


def _highest_curves(evaluation: Mapping[str, Any]) -> list[Curve]:
    """One curve for each model."""
    names = [elided(model["name"], NAME_LENGTH) for model in evaluation["models"]]
    return [Curve(n, 0, "", COLORS[n], name) for n, name in enumerate(names)]


def _class_entry(evaluation: Mapping[str, Any], curve: Curve) -> Mapping[str, Any]:
    """The numbers of the curve's class, or of all classes together."""
    model = evaluation["models"][curve.model]
    entry: Mapping[str, Any] = model["classes"][curve.target] if curve.target else model["overall"]
    return entry
