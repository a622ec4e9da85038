"""Rows of text in a table widget: coloured by how bad they are, with the reason as tool tip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import qt

ERROR, WARNING = "error", "warning"

COLORS = {ERROR: (217, 83, 79, 110), WARNING: (240, 173, 78, 110)}
"""Red, green, blue, opacity: half transparent, so that the text stands out on light and dark styles alike."""

WIDEST_COLUMN = 20
"""Characters of a column before the last one: a docked panel has about 50 in all; what is longer wraps."""


@dataclass(frozen=True)
class Row:
    """A row.

    Parameters
    ----------
    cells:
        A text for each column.
    reasons:
        Lines of the tool tip.
    severity:
        ``ERROR``, ``WARNING`` or empty.
    """

    cells: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    severity: str = ""


def fill_table(table, headers: Sequence[str], rows: Sequence[Row]) -> None:
    """Show these rows and no others; the last column takes the width that is left."""
    table.clear()
    table.columnCount, table.rowCount = len(headers), len(rows)
    table.setHorizontalHeaderLabels(list(headers))
    table.verticalHeader().visible = False
    table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().stretchLastSection = True
    for number, row in enumerate(rows):
        for column, text in enumerate(row.cells):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tool_tip(row.reasons))
            if row.severity:
                item.setBackground(qt.QBrush(qt.QColor(*COLORS[row.severity])))
            table.setItem(number, column, item)
    widest = WIDEST_COLUMN * table.fontMetrics().averageCharWidth()
    for column in range(len(headers) - 1):
        table.resizeColumnToContents(column)
        table.setColumnWidth(column, min(table.columnWidth(column), widest))


def tool_tip(lines: Sequence[str]) -> str:
    """Lines as a tool tip that wraps, and shows as text what names from files hold."""
    return f"<qt>{'<br>'.join(escape(line) for line in lines)}</qt>" if lines else ""
