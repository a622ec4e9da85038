"""The picture of a heat map over its image, with the probabilities that it explains (heavy: matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..classification.result import ClassificationResult, Explanation, Prediction
from ..errors import GeometryError
from ..files.atomic import replacing
from ..volume import Volume
from ..wording import elided, listed
from .legend import HEADER_HEIGHT, LINE_HEIGHT, LONGEST_LINE, SPACE_ABOVE, draw_header, write_line
from .panel_drawing import CAPTION_HEIGHT, draw_panel, draw_row
from .panels import Panel, panel_rows
from .style import BACKGROUND, DPI, GAP, MARGIN, QUIET, WIDTH
from .views import grey_window, planes_through

HOT = 0.5
"""The planes are those that show most places from this heat on."""

COLORS, OPACITY = "inferno", 0.7
"""Heat is drawn the more opaque the hotter it is, so that the image stays visible elsewhere."""

LISTED_PREDICTIONS = 12


def write_heat(path: Path, volume: Volume, result: ClassificationResult) -> None:
    """Write the picture of ``draw_heat`` as a PNG file, whole or not at all.

    Raises
    ------
    GeometryError
        As ``draw_heat``.
    OutputError
        The place cannot be written to.
    """
    figure = draw_heat(volume, result)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor=figure.get_facecolor())


def draw_heat(volume: Volume, result: ClassificationResult) -> Figure:
    """The heat map over the image, in three planes or of a single slice alone, and the probabilities below.

    Parameters
    ----------
    volume:
        What was classified. Of several channels the mean is drawn.
    result:
        With an explanation, on the volume's grid.

    Raises
    ------
    GeometryError
        The result has no heat map on the volume's grid.
    """
    explanation = result.explanation
    if explanation is None or not result.geometry.matches(volume.geometry):
        raise GeometryError("Expected a heat map on the grid of the image; pass the volume that was explained.")
    grey = replace(volume, array=volume.array.mean(axis=0, keepdims=True), channel_names=())
    hot = (explanation.heat >= HOT).astype(np.uint8)
    rows = panel_rows(planes_through(grey, hot))
    heat = planes_through(replace(grey, array=explanation.heat[None]), hot)
    heats = {view.name: view.image for view in heat}
    lines = _lines(result, explanation)
    heights = [row[0].size[1] + CAPTION_HEIGHT for row in rows]
    below = SPACE_ABOVE + LINE_HEIGHT * len(lines)
    height = HEADER_HEIGHT + sum(heights) + (len(rows) - 1) * GAP + below + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    window = grey_window(grey, hot)
    top = height - MARGIN
    draw_header(figure, top, grey, result.record)
    top -= HEADER_HEIGHT
    for row, row_height in zip(rows, heights, strict=True):
        top -= row_height
        draw_row(figure, top, row, lambda axes, panel: _draw(axes, panel, window, heats))
        top -= GAP
    for number, line in enumerate(lines):
        middle = top - SPACE_ABOVE - LINE_HEIGHT * (number + 0.5)
        write_line(figure, 0, middle, elided(line, LONGEST_LINE), **({} if number else {"color": QUIET}))
    return figure


def _draw(axes: Axes, panel: Panel, window: tuple[float, float], heats: Mapping[str, np.ndarray]) -> None:
    """The image, and the heat over it."""
    draw_panel(axes, panel, window, {})
    heat = np.clip(heats[panel.view.name], 0, 1)
    colored = colormaps[COLORS](heat)
    colored[..., 3] = OPACITY * heat
    width, height = panel.view.size_mm
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(colored, extent=(0.0, width, height, 0.0), interpolation="bilinear", aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])


def _lines(result: ClassificationResult, explanation: Explanation) -> list[str]:
    """What the heat is, the verdict on it, and each prediction with the class that is explained."""
    how = f"Heat: {explanation.method}{f' of the layer {explanation.layer}' if explanation.layer else ''}"
    lines = [how, *([explanation.verdict] if explanation.verdict else [])]
    shown = list(zip(result.predictions, explanation.classes, strict=True))
    lines += [_prediction_line(one, name, result.names) for one, name in shown[:LISTED_PREDICTIONS]]
    more = len(shown) - LISTED_PREDICTIONS
    return lines + ([f"and {more} more; the table of classes lists them all"] if more > 0 else [])


def _prediction_line(prediction: Prediction, explained: str, names: tuple[str, ...]) -> str:
    order = np.argsort(prediction.probabilities)[::-1]
    told = [f"{names[n]} {prediction.probabilities[n]:.3f}" for n in order]
    where = f"{prediction.name}: " if prediction.name else ""
    return f"{where}{listed(told, LONGEST_LINE - 50)}; explained: {explained}"
