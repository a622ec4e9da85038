"""Pictures of one finding: three planes through its middle, with its box and its outline (heavy: matplotlib)."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..inputs import guess_modality
from ..picture.panel_drawing import CAPTION_HEIGHT, draw_panel, draw_row, draw_structures
from ..picture.panels import Panel
from ..picture.style import BACKGROUND, GAP, MARGIN, WIDTH, Color
from ..picture.views import LUNG_HU, View, percentile_window, planes_through
from ..volume import Volume
from .finding import Finding
from .segmenting import SegmentedNodule

FIELD_MM, FIELD_BOXES = 50.0, 2.5
"""Width of a panel: so many mm, and at least so many times the box's longest edge."""

KEY_IMAGE_DPI = 100
OUTLINE_COLOR: Color = (1.0, 0.72, 0.2)


def key_image_png(volume: Volume, finding: Finding, nodule: SegmentedNodule | None) -> bytes:
    """The picture of ``draw_key_images`` as the content of a PNG file."""
    figure = draw_key_images(volume, finding, nodule)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=KEY_IMAGE_DPI, facecolor=figure.get_facecolor())
    return file.getvalue()


def draw_key_images(volume: Volume, finding: Finding, nodule: SegmentedNodule | None) -> Figure:
    """Three planes through the middle of a finding's box, in the lung's window; of a single slice its own.

    The grey frame is the box, the outline the segmentation. The first channel is drawn.

    Parameters
    ----------
    volume:
        In which it was found.
    finding:
        Whose box.
    nodule:
        Its segmentation, if there is one.
    """
    field_mm = max(FIELD_MM, FIELD_BOXES * max(finding.box.size_mm))
    crop = _around(volume, finding, field_mm)
    outline = np.zeros(crop.geometry.shape_kji, dtype=np.uint8)
    if nodule is not None:
        outline[nodule.on(crop.geometry)] = 1
    middle, box = _middle_voxel(crop, finding), _box_voxels(crop, finding)
    views = planes_through(crop, outline, middle)
    framed = planes_through(crop, box, middle)
    columns = max(3, len(views))
    side = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    row = [_panel(view, frame, side, field_mm) for view, frame in zip(views, framed, strict=True)]
    figure = Figure(figsize=(WIDTH, side + CAPTION_HEIGHT + 2 * MARGIN), dpi=KEY_IMAGE_DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    window = LUNG_HU if guess_modality(volume) == "CT" else percentile_window(volume.array[0])

    def draw(axes: Axes, panel: Panel) -> None:
        draw_panel(axes, panel, window, {})
        draw_structures(axes, panel.view, {1: OUTLINE_COLOR}, fill=False)

    draw_row(figure, MARGIN, row, draw)
    return figure


def _around(volume: Volume, finding: Finding, field_mm: float) -> Volume:
    """The image around the finding, a little more than the panels show."""
    grid = volume.geometry
    middle = grid.ijk_from_ras(np.asarray(finding.center_ras_mm))
    reach = 0.6 * field_mm / grid.spacing_mm + 1
    start = np.clip(np.floor(middle - reach), 0, np.array(grid.size_ijk) - 1).astype(int)
    stop = np.clip(np.ceil(middle + reach) + 1, start + 1, grid.size_ijk).astype(int)
    return volume.cropped(_ints(start), _ints(stop))


def _middle_voxel(volume: Volume, finding: Finding) -> np.ndarray:
    """A mask with the voxel at the middle of the finding."""
    grid = volume.geometry
    ijk = np.rint(grid.ijk_from_ras(np.asarray(finding.center_ras_mm))).astype(int)
    mask = np.zeros(grid.shape_kji, dtype=np.uint8)
    mask[_ints(np.clip(ijk, 0, np.array(grid.size_ijk) - 1)[::-1])] = 1
    return mask


def _box_voxels(volume: Volume, finding: Finding) -> np.ndarray:
    """A mask of the voxels whose middles lie in the finding's box."""
    grid = volume.geometry
    corners = finding.box.index_corners(grid)
    low = np.clip(np.ceil(corners[:3] - 1e-6), 0, np.array(grid.size_ijk) - 1).astype(int)
    high = np.clip(np.floor(corners[3:] + 1e-6) + 1, low + 1, grid.size_ijk).astype(int)
    mask = np.zeros(grid.shape_kji, dtype=np.uint8)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))] = 1
    return mask


def _panel(view: View, framed: View, side: float, field_mm: float) -> Panel:
    """A square panel around the box of the same plane."""
    left, right, top, bottom = framed.box_mm or (0.0, view.size_mm[0], 0.0, view.size_mm[1])
    caption = f"{view.name}, {view.position}" if view.position else view.name
    center_mm = (left + right) / 2, (top + bottom) / 2
    return Panel(view, caption, (side, side), field_mm / side, center_mm, framed.box_mm)


def _ints(values: np.ndarray) -> tuple[int, int, int]:
    x, y, z = (int(value) for value in values)
    return x, y, z
