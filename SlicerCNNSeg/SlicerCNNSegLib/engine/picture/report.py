"""The picture of a segmentation over its image, in three planes (heavy: matplotlib).

Drawn through matplotlib's objects on its own canvas: no window system and no global state, so it
runs in threads, on servers and inside Slicer alike.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..files.atomic import replacing
from ..result import SegmentationResult
from ..volume import Volume
from .legend import HEADER_HEIGHT, Legend, draw_header
from .panel_drawing import CAPTION_HEIGHT, draw_panel, draw_row
from .panels import panel_rows
from .style import BACKGROUND, DPI, GAP, MARGIN, WIDTH, readable_color
from .views import grey_window, planes_of


def write_overlay(path: str | Path, volume: Volume, result: SegmentationResult) -> None:
    """Write the picture of ``draw_overlay`` as a PNG file, whole or not at all.

    Raises
    ------
    GeometryError
        The result lies on another grid than the volume.
    OutputError
        The place cannot be written to.
    """
    figure = draw_overlay(volume, result)
    with replacing(Path(path)) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor=figure.get_facecolor())


def draw_overlay(volume: Volume, result: SegmentationResult) -> Figure:
    """The segmentation over the image's first channel, in three planes.

    Axial, coronal and sagittal in radiological convention, at one scale, through the planes that
    show most; below them the same enlarged when the structures are small in the image; a legend with
    the volumes. A single slice is shown alone.

    Parameters
    ----------
    volume:
        What was segmented, in any orientation.
    result:
        On the volume's grid.

    Raises
    ------
    GeometryError
        The result lies on another grid than the volume.
    """
    rows = panel_rows(planes_of(volume, result))
    heights = [row[0].size[1] + CAPTION_HEIGHT for row in rows]
    legend = Legend(result)
    height = HEADER_HEIGHT + sum(heights) + (len(rows) - 1) * GAP + legend.height + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    colors = {label.value: readable_color(label.color) for label in result.labels}
    window = grey_window(volume, result.labelmap)
    top = height - MARGIN
    draw_header(figure, top, volume, result.record)
    top -= HEADER_HEIGHT
    for row, row_height in zip(rows, heights, strict=True):
        top -= row_height
        draw_row(figure, top, row, lambda axes, panel: draw_panel(axes, panel, window, colors))
        top -= GAP
    legend.draw(figure, top, colors)
    return figure
