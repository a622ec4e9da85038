"""Which part of which view each panel of the report's picture shows, and how large."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .style import GAP, MARGIN, WIDTH
from .views import Box, View

TALLEST_ROW = 4.2
"""Inches."""

ZOOM_FROM = 1.8
"""Zoomed panels are worth their place when structures appear at least this much larger in them."""

ZOOM_MARGIN = 0.15
"""Free space around the structures of a zoomed panel, on each side, as a share of their extent."""

ZOOM_SHAPE = 0.72
"""Height of a zoomed panel below a row, as a share of its width."""


@dataclass(frozen=True)
class Panel:
    """A view, and what of it is shown.

    Parameters
    ----------
    size:
        Width and height in inches.
    mm_per_inch:
        The scale, the same along a row.
    center_mm:
        What is at the panel's centre, from the view's top left corner.
    marked_mm:
        What its zoomed panel shows.
    """

    view: View
    caption: str
    size: tuple[float, float]
    mm_per_inch: float
    center_mm: tuple[float, float]
    marked_mm: Box | None = None

    @property
    def shown_mm(self) -> Box:
        """Left, right, top, bottom of what is shown, from the view's top left corner."""
        (x, y), (width, height) = self.center_mm, (side * self.mm_per_inch for side in self.size)
        return x - width / 2, x + width / 2, y - height / 2, y + height / 2


def panel_rows(views: list[View]) -> list[list[Panel]]:
    """Whole planes and, if worth it, the same enlarged: in a row below, or beside a single slice."""
    alone = len(views) == 1
    width = _slot_width(2 if alone else len(views))
    whole = _whole_planes(views, width)
    zoomed = _zoomed(whole, whole[0].size[1] if alone else width * ZOOM_SHAPE)
    if not zoomed:
        return [_whole_planes(views, _slot_width(len(views)))]
    whole = [replace(panel, marked_mm=close.shown_mm) for panel, close in zip(whole, zoomed, strict=True)]
    return [whole + zoomed] if alone else [whole, zoomed]


def _slot_width(columns: int) -> float:
    """Width in inches of one of so many panels side by side."""
    return (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns


def _whole_planes(views: list[View], width: float) -> list[Panel]:
    """A panel for each view, as wide as asked (inches) and high enough for the highest."""
    mm_per_inch = max(max(view.size_mm[0] / width, view.size_mm[1] / TALLEST_ROW) for view in views)
    size = width, max(view.size_mm[1] for view in views) / mm_per_inch
    return [
        Panel(
            view,
            f"{view.name}, {view.position}" if view.position else view.name,
            size,
            mm_per_inch,
            (view.size_mm[0] / 2, view.size_mm[1] / 2),
        )
        for view in views
    ]


def _zoomed(whole: list[Panel], height: float) -> list[Panel]:
    """The same panels, of that height, around what is segmented; none when that would gain little."""
    boxes = [panel.view.box_mm for panel in whole if panel.view.box_mm is not None]
    if not boxes:
        return []
    size = whole[0].size[0], height
    mm_per_inch = (1 + 2 * ZOOM_MARGIN) * max(
        max((right - left) / size[0], (bottom - top) / size[1]) for left, right, top, bottom in boxes
    )
    zoom = whole[0].mm_per_inch / mm_per_inch
    if zoom < ZOOM_FROM:
        return []
    return [
        replace(
            panel,
            caption=f"{panel.view.name}, {zoom:.1f} times larger",
            size=size,
            mm_per_inch=mm_per_inch,
            center_mm=_zoom_center(panel.view, (size[0] * mm_per_inch, size[1] * mm_per_inch)),
        )
        for panel in whole
    ]


def _zoom_center(view: View, shown_mm: tuple[float, float]) -> tuple[float, float]:
    """The middle of what is segmented, moved as far as the image's edges allow to fill the panel."""
    left, right, top, bottom = view.box_mm or (0.0, view.size_mm[0], 0.0, view.size_mm[1])
    x, y = (
        min(max(middle, shown / 2), size - shown / 2) if shown < size else size / 2
        for middle, size, shown in zip(((left + right) / 2, (top + bottom) / 2), view.size_mm, shown_mm, strict=True)
    )
    return x, y
