"""The words of the report's picture: its header, and the structures with their volumes (heavy: matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..result import RunRecord, SegmentationResult, Structure
from ..volume import Volume
from ..wording import elided, listed
from .style import BODY_POINTS, MARGIN, QUIET, TEXT, TITLE_POINTS, WIDTH, Color
from .views import is_oblique

HEADER_HEIGHT = 0.66
LINE_HEIGHT = 0.23
SPACE_ABOVE = 0.08
SWATCH = 0.12
COLUMN_GAP = 0.3

LONGEST_TITLE, LONGEST_LINE = 70, 120
"""Characters that fit: of the title in its size, and of a line of the body across the picture."""

LONGEST_NAME = {3: 26, 2: 46, 1: 100}
"""Columns of the legend, and the longest name that fits into one of so many."""

CHARACTER_WIDTH = 0.077
"""Inches, of a wide letter in the body's size: how far the volumes keep away from the names."""

LISTED_STRUCTURES = 24
"""More would need more room than the picture; the table of volumes has them all."""

MILLILITRES_FROM_MM3 = 10_000.0
"""Volumes are told in mL when the largest has that many mm3: five digits and more are hard to take in."""


def draw_header(figure: Figure, top: float, volume: Volume, record: RunRecord) -> None:
    """What was looked at, by which model and when, and how the planes are to be read.

    ``top`` is in inches above the figure's lower edge.
    """
    title = PurePath(volume.source).name or "Image without a name"
    made = f"{record.model_id} {record.model_version}, {record.started[:16].replace('T', ' ')}"
    if volume.channels > 1:
        made += f", on channel {volume.channel_names[0] if volume.channel_names else 1} of {volume.channels}"
    how = "Radiological convention: the patient's right is on the picture's left"
    if is_oblique(volume.geometry):
        how += "; oblique image, shown along its own axes"
    write_line(figure, 0, top - 0.1, elided(title, LONGEST_TITLE), fontsize=TITLE_POINTS, fontweight="bold")
    write_line(figure, 0, top - 0.33, elided(made, LONGEST_LINE), color=QUIET)
    write_line(figure, 0, top - 0.51, how, color=QUIET)


class Legend:
    """The structures that were found, largest first when there are too many to list; then what was not.

    Parameters
    ----------
    result:
        Whose structures.
    """

    def __init__(self, result: SegmentationResult) -> None:
        found = [structure for structure in result.structures if structure.voxels]
        self._absent = [structure.name for structure in result.structures if not structure.voxels]
        self._left_out = max(0, len(found) - LISTED_STRUCTURES)
        if self._left_out:
            found = sorted(found, key=lambda structure: -structure.voxels)[:LISTED_STRUCTURES]
        self._found = found
        largest_mm3 = max((structure.volume_mm3 for structure in found), default=0.0)
        self._in_ml = largest_mm3 >= MILLILITRES_FROM_MM3
        longest = max((len(structure.name) for structure in found), default=0)
        self._columns = next((n for n, room in LONGEST_NAME.items() if longest <= room), 1)
        self._rows = -(-len(found) // self._columns)
        needed = longest * CHARACTER_WIDTH + 1.2  # inches for the swatch and the volume
        self._column_width = min((WIDTH - 2 * MARGIN + COLUMN_GAP) / self._columns, needed + COLUMN_GAP)

    @property
    def height(self) -> float:
        """Height in inches."""
        return SPACE_ABOVE + LINE_HEIGHT * (self._rows + len(self._closing_lines()))

    def draw(self, figure: Figure, top: float, colors: Mapping[int, Color]) -> None:
        """Draw it downwards from ``top``, in inches above the figure's lower edge."""
        first = top - SPACE_ABOVE - LINE_HEIGHT / 2
        for position, structure in enumerate(self._found):
            column, row = divmod(position, self._rows)
            left, middle = column * self._column_width, first - row * LINE_HEIGHT
            self._draw_entry(figure, left, middle, structure, colors[structure.value])
        for row, line in enumerate(self._closing_lines(), start=self._rows):
            write_line(figure, 0, first - row * LINE_HEIGHT, line, color=QUIET if self._found else TEXT)

    def _draw_entry(self, figure: Figure, left: float, middle: float, structure: Structure, color: Color) -> None:
        """A swatch, the name, and the volume at the column's right."""
        draw_swatch(figure, left, middle, color)
        write_line(figure, left + SWATCH + 0.07, middle, elided(structure.name, LONGEST_NAME[self._columns]))
        volume = volume_text(structure.volume_mm3, in_ml=self._in_ml)
        write_line(figure, left + self._column_width - COLUMN_GAP, middle, volume, color=QUIET, ha="right")

    def _closing_lines(self) -> list[str]:
        absent = listed(self._absent, LONGEST_LINE - 30)
        if not self._found:
            return [f"Nothing found. Looked for: {absent}"]
        lines = []
        if self._left_out:
            lines.append(f"and {self._left_out} smaller structures; the table of volumes lists them all")
        if self._absent:
            lines.append(f"Not found: {absent}")
        return lines


def draw_swatch(figure: Figure, left: float, middle: float, color: Color) -> None:
    """A square of the colour, from ``left`` inches inside the margin, at a height in inches."""
    height = figure.get_figheight()
    figure.add_artist(
        Rectangle(
            ((MARGIN + left) / WIDTH, (middle - SWATCH / 2) / height),
            SWATCH / WIDTH,
            SWATCH / height,
            facecolor=color,
            transform=figure.transFigure,
        )
    )


def volume_text(volume_mm3: float, *, in_ml: bool) -> str:
    """A volume in mm3, or in mL with three decimals where it is below 1 mL."""
    if in_ml:
        volume_ml = volume_mm3 / 1000
        return f"{volume_ml:,.1f} mL" if volume_ml >= 1 else f"{volume_ml:.3f} mL"
    return f"{volume_mm3:,.0f} mm³"


def write_line(figure: Figure, left: float, middle: float, text: str, **style: Any) -> None:
    """A line of text, from ``left`` inches inside the margin, at a height in inches."""
    style = {"fontsize": BODY_POINTS, "color": TEXT, "ha": "left", **style}
    # parse_math off: a dollar sign in a file's name is just that
    figure.text((MARGIN + left) / WIDTH, middle / figure.get_figheight(), text, va="center", parse_math=False, **style)
