"""Regions to classify: around the segments of a labelmap, around points, and around findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import RegionError
from ..findings.finding import REJECTED, Finding
from ..labels import Label
from ..region import Region
from ..volume import Geometry

MARGIN_MM = 5.0
"""How far a segment's surroundings reach, where nobody says otherwise."""


def regions_around_segments(
    labelmap: np.ndarray, geometry: Geometry, labels: Sequence[Label], margin_mm: float = MARGIN_MM
) -> tuple[Region, ...]:
    """A box around each segment that has voxels, with the segment's name.

    Parameters
    ----------
    labelmap:
        Shape ``(k, j, i)``.
    geometry:
        Its grid; it need not be the image's.
    labels:
        What the values mean. Of equal names the later ones get their value in brackets.
    margin_mm:
        Added on each side, along the labelmap's axes.

    Raises
    ------
    RegionError
        The labelmap has no segment.
    """
    regions: list[Region] = []
    taken: set[str] = set()
    margin = margin_mm / geometry.spacing_mm
    for label in labels:
        kji = np.argwhere(labelmap == label.value)
        if not len(kji):
            continue
        name = label.name if label.name not in taken else f"{label.name} ({label.value})"
        taken.add(name)
        low, high = kji.min(axis=0)[::-1] - margin, kji.max(axis=0)[::-1] + margin
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
        regions.append(_ras_box(geometry.ras_from_ijk(corners), name))
    if not regions:
        raise RegionError("The segmentation is empty, so there is nothing to classify around; draw a segment first.")
    return tuple(regions)


def regions_around_points(points_ras_mm: Mapping[str, Sequence[float]], size_mm: float) -> tuple[Region, ...]:
    """A cube of that side around each point, by the points' names; findings of a detection, say.

    Raises
    ------
    RegionError
        There is no point.
    """
    if not points_ras_mm:
        raise RegionError("There are no points to classify around; give one at least.")
    half = np.array([[-size_mm / 2] * 3, [size_mm / 2] * 3])
    return tuple(_ras_box(np.asarray(point, dtype=np.float64) + half, name) for name, point in points_ras_mm.items())


def regions_around_findings(findings: Iterable[Finding], margin_mm: float = MARGIN_MM) -> tuple[Region, ...]:
    """A box around each finding's own, by the findings' ids; those that a reviewer rejected are left out.

    Parameters
    ----------
    margin_mm:
        Added on each side, along R, A and S.

    Raises
    ------
    RegionError
        There is no finding, or all were rejected.
    """
    wanted = [finding for finding in findings if finding.status != REJECTED]
    if not wanted:
        raise RegionError("There are no findings to classify: none is in the table, or all were rejected.")
    margin = np.array([[-margin_mm], [margin_mm]])
    return tuple(_ras_box((one.box.corners_ras_mm()[None] + margin[:, None]).reshape(-1, 3), one.id) for one in wanted)


def _ras_box(corners_mm: np.ndarray, name: str) -> Region:
    low, high = corners_mm.min(axis=0), corners_mm.max(axis=0)
    r0, a0, s0, r1, a1, s1 = (float(mm) for mm in (*low, *high))
    return Region("ras", (r0, r1, a0, a1, s0, s1), name)
