"""A picture of what the network gets to see (heavy: matplotlib).

Many small panels on the dark ground of the project's other pictures of images: samples as they come
out of augmentation, and one sample before and after each augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.picture.legend import (
    CHARACTER_WIDTH,
    LISTED_STRUCTURES,
    LONGEST_LINE,
    LONGEST_TITLE,
    SWATCH,
    draw_swatch,
    write_line,
)
from SlicerCNNSegLib.engine.picture.panel_drawing import draw_structures
from SlicerCNNSegLib.engine.picture.style import (
    BACKGROUND,
    DPI,
    GAP,
    MARGIN,
    QUIET,
    TITLE_POINTS,
    WIDTH,
    Color,
    readable_color,
)
from SlicerCNNSegLib.engine.wording import elided, listed

from ..training.losses import IGNORED
from .tiles import Crop, Grid, Tile, grey_window_of, tiles_of

TITLE_HEIGHT, LINE_HEIGHT, LEGEND_LINE, SECTION_HEIGHT, CAPTION_HEIGHT = 0.28, 0.18, 0.2, 0.38, 0.22
"""Inches."""

LEGEND_GAP = 0.12
"""Free space above and below the legend, together."""

CELL_GAP = 0.22
"""Between samples; their planes are ``GAP`` apart."""

TALLEST, WIDEST = 2.4, 2.9
"""Of a panel: few samples are not blown up to fill the picture."""

SAMPLES_IN_ROW = {3: 2, 1: 6}
"""Planes of a sample, and how many samples stand side by side."""

VARIANTS_IN_ROW = 6

CHARACTERS_IN_INCH = 13
"""Of a caption: mixed letters in the body's size."""

LEGEND_COLUMNS = {3: 30, 2: 48, 1: 100}
"""Columns of the legend, and the longest name that fits into one of so many."""


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows.

    Parameters
    ----------
    title, lines:
        What stands above; lines are broken where they are too long.
    samples:
        As the network gets them.
    variants:
        One crop: first untouched, then after each augmentation alone. May be empty.
    labels:
        The structures by class index (``value``), with their names and colours.
    grid:
        How the arrays lie in the patient.
    """

    title: str
    lines: tuple[str, ...]
    samples: tuple[Crop, ...]
    variants: tuple[Crop, ...]
    labels: tuple[Label, ...]
    grid: Grid


def write_contact_sheet(path: Path, sheet: Sheet) -> None:
    """Write the picture of ``draw_contact_sheet`` as PNG, whole or not at all.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    figure = draw_contact_sheet(sheet)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor=figure.get_facecolor())


def draw_contact_sheet(sheet: Sheet) -> Figure:
    """Samples in three planes each (2-D ones as they are) with outlines of the structures; below, the variants.

    All panels have one grey window, so that differences in brightness and contrast are what they are
    for the network. The planes of a sample are those that show most of its structures; the variants
    are shown in the untouched crop's.
    """
    window = grey_window_of([*sheet.samples, *sheet.variants[:1]])
    cells = [tiles_of(crop, sheet.grid, window) for crop in sheet.samples]
    untouched = sheet.variants[0].label if sheet.variants else None
    variants = [tiles_of(crop, sheet.grid, window, untouched)[:1] for crop in sheet.variants]
    blocks = [_Block("", cells, [crop.title for crop in sheet.samples], SAMPLES_IN_ROW[len(cells[0])])]
    if variants:
        titles = [crop.title for crop in sheet.variants]
        heading = "The same crop, untouched and after each augmentation alone"
        blocks.append(_Block(heading, variants, titles, VARIANTS_IN_ROW))
    lines = [line for text in sheet.lines for line in wrap(text, LONGEST_LINE)]
    legend = _Legend(sheet)
    header = TITLE_HEIGHT + LINE_HEIGHT * len(lines) + legend.height
    height = 2 * MARGIN + header + sum(block.height for block in blocks)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    top = height - MARGIN
    write_line(figure, 0, top - 0.1, elided(sheet.title, LONGEST_TITLE), fontsize=TITLE_POINTS, fontweight="bold")
    for row, line in enumerate(lines):
        write_line(figure, 0, top - TITLE_HEIGHT - LINE_HEIGHT * (row + 0.5), line, color=QUIET)
    legend.draw(figure, top - TITLE_HEIGHT - LINE_HEIGHT * len(lines))
    top -= header
    for block in blocks:
        block.draw(figure, top, legend.colors)
        top -= block.height
    return figure


class _Block:
    """Cells in rows, each one sample's panels side by side below its caption, all at one scale.

    Parameters
    ----------
    heading:
        Above the block; may be empty.
    cells, captions:
        One of each for a sample.
    in_row:
        Most cells of a row; they are spread evenly over as many rows as that takes.
    """

    def __init__(self, heading: str, cells: Sequence[Sequence[Tile]], captions: Sequence[str], in_row: int) -> None:
        self._heading, self._cells, self._captions = heading, cells, captions
        self._rows = -(-len(cells) // in_row)
        self._columns = -(-len(cells) // self._rows)
        gaps = (len(cells[0]) - 1) * GAP
        room = (WIDTH - 2 * MARGIN + CELL_GAP) / self._columns - CELL_GAP - gaps
        widths, heights = zip(*(tile.size_mm for tile in cells[0]), strict=True)
        self._mm_per_inch = max(sum(widths) / room, max(widths) / WIDEST, max(heights) / TALLEST)
        self._cell_width = sum(widths) / self._mm_per_inch + gaps
        self._row_height = CAPTION_HEIGHT + max(heights) / self._mm_per_inch

    @property
    def height(self) -> float:
        """Height in inches."""
        return (SECTION_HEIGHT if self._heading else 0) + self._rows * self._row_height + (self._rows - 1) * GAP

    def draw(self, figure: Figure, top: float, colors: Mapping[int, Color]) -> None:
        """Draw it downwards from ``top``, in inches above the figure's lower edge."""
        if self._heading:
            write_line(figure, 0, top - SECTION_HEIGHT * 0.6, self._heading, fontweight="bold")
            top -= SECTION_HEIGHT
        for number, (cell, caption) in enumerate(zip(self._cells, self._captions, strict=True)):
            row, column = divmod(number, self._columns)
            left = column * (self._cell_width + CELL_GAP)
            below = top - row * (self._row_height + GAP) - CAPTION_HEIGHT
            text = elided(caption, int(self._cell_width * CHARACTERS_IN_INCH))
            write_line(figure, left, below + CAPTION_HEIGHT / 2, text)
            for tile in cell:
                width, height = (side / self._mm_per_inch for side in tile.size_mm)
                _draw_tile(figure, tile, (left, below - height, width, height), colors)
                left += width + GAP


def _draw_tile(figure: Figure, tile: Tile, box: tuple[float, float, float, float], colors: Mapping[int, Color]) -> None:
    """A plane and its outlines in a box: left inside the margin, bottom, width and height in inches."""
    left, bottom, width, height = box
    tall = figure.get_figheight()
    axes = figure.add_axes(((MARGIN + left) / WIDTH, bottom / tall, width / WIDTH, height / tall))
    right_mm, bottom_mm = tile.size_mm
    extent = (0.0, right_mm, bottom_mm, 0.0)
    axes.imshow(tile.picture, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest", aspect="auto")
    draw_structures(axes, tile.view, colors, fill=False)
    axes.set(xlim=(0, right_mm), ylim=(bottom_mm, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


class _Legend:
    """The structures of the sheet's samples, the largest first when there are too many to list; then the others.

    Parameters
    ----------
    sheet:
        Whose.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.colors: dict[int, Color] = {label.value: readable_color(label.color) for label in sheet.labels}
        labelled = [crop.label for crop in sheet.samples if crop.label is not None]
        voxels = sum((np.bincount(label.ravel().astype(np.int64), minlength=256) for label in labelled), np.zeros(256))
        found = [label for label in sheet.labels if voxels[label.value]]
        self._absent = [label.name for label in sheet.labels if not voxels[label.value]] if labelled else []
        self._left_out = max(0, len(found) - LISTED_STRUCTURES)
        if self._left_out:
            found = sorted(found, key=lambda label: -voxels[label.value])[:LISTED_STRUCTURES]
        longest = max((len(label.name) for label in found), default=0)
        self._columns = next((columns for columns, room in LEGEND_COLUMNS.items() if longest <= room), 1)
        names = [elided(label.name, LEGEND_COLUMNS[self._columns]) for label in found]
        self._entries = list(zip(names, (self.colors[label.value] for label in found), strict=True))
        if voxels[IGNORED]:
            self.colors[IGNORED] = to_rgb(QUIET)
            self._entries.append(("Nobody labelled", self.colors[IGNORED]))
        self._rows = -(-len(self._entries) // self._columns)
        self._column_width = max((len(name) for name, _ in self._entries), default=0) * CHARACTER_WIDTH + 0.5

    @property
    def height(self) -> float:
        """Height in inches."""
        lines = self._rows + len(self._closing_lines())
        return LEGEND_LINE * lines + (LEGEND_GAP if lines else 0)

    def draw(self, figure: Figure, top: float) -> None:
        """Draw it downwards from ``top``, in inches above the figure's lower edge."""
        first = top - (LEGEND_GAP + LEGEND_LINE) / 2
        for number, (name, color) in enumerate(self._entries):
            column, row = divmod(number, self._rows)
            left, middle = column * self._column_width, first - row * LEGEND_LINE
            draw_swatch(figure, left, middle, color)
            write_line(figure, left + SWATCH + 0.07, middle, name)
        for row, line in enumerate(self._closing_lines(), start=self._rows):
            write_line(figure, 0, first - row * LEGEND_LINE, line, color=QUIET)

    def _closing_lines(self) -> list[str]:
        lines = []
        if self._left_out:
            lines.append(f"and {self._left_out} smaller structures")
        if self._absent:
            lines.append(f"Not in these samples: {listed(self._absent, LONGEST_LINE - 30)}")
        return lines
