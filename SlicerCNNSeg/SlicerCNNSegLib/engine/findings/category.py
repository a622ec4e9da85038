"""The follow-up category that a nodule's size alone gives at baseline, by ACR Lung-RADS v2022.

Source of every threshold: American College of Radiology, Lung-RADS v2022 assessment categories (November 2022), and
Christensen et al., ACR Lung-RADS v2022: Assessment Categories and Management Recommendations, CHEST 165:738 (2024).
Diameters are means of a long and a short axis, to one decimal (same source, notes). The source allows any plane;
``measure`` takes the axial one.

Left out, because size does not tell it: growth and new nodules, category 4X (spiculation and other suspicious
features), benign features and stability, the exception for smooth juxtapleural solid nodules below 10 mm, airway
nodules and cysts. So this is no Lung-RADS assessment, and is always named as *size-based*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .finding import CATEGORIES, NON_SOLID, PART_SOLID, SOLID, Measurements

Steps = tuple[tuple[float, str], ...]

SOLID_STEPS: Steps = ((6.0, "2"), (8.0, "3"), (15.0, "4A"), (math.inf, "4B"))
"""Solid, baseline: below 6 mm 2; 6 to below 8 mm 3; 8 to below 15 mm 4A; 15 mm and more 4B."""

NON_SOLID_STEPS: Steps = ((30.0, "2"), (math.inf, "3"))
"""Non-solid (ground glass), baseline: below 30 mm 2; 30 mm and more 3."""

PART_SOLID_TOTAL_MM = 6.0
"""Part-solid, baseline: below 6 mm of the whole nodule 2, however large its solid part; else by the solid part."""

PART_SOLID_STEPS: Steps = ((6.0, "3"), (8.0, "4A"), (math.inf, "4B"))
"""Solid part of a part-solid nodule of 6 mm and more: below 6 mm 3; 6 to below 8 mm 4A; 8 mm and more 4B."""

NO_NODULES = "1"
"""The category of a scan without nodules."""

TITLE = "Size-based category (Lung-RADS v2022, baseline)"
"""What a column or heading of these categories is called."""


def size_category(measurements: Measurements) -> str:
    """The category of one nodule: ``2``, ``3``, ``4A`` or ``4B``."""
    mean_mm = one_decimal(measurements.mean_diameter_mm)
    if measurements.kind == SOLID:
        return _step(mean_mm, SOLID_STEPS)
    if measurements.kind == NON_SOLID:
        return _step(mean_mm, NON_SOLID_STEPS)
    assert measurements.kind == PART_SOLID
    if mean_mm < PART_SOLID_TOTAL_MM:
        return "2"
    return _step(one_decimal(measurements.solid_mean_mm), PART_SOLID_STEPS)


def scan_category(categories: Sequence[str]) -> str:
    """The highest of its nodules' categories; ``1`` without any."""
    return max(categories, key=CATEGORIES.index, default=NO_NODULES)


def one_decimal(diameter_mm: float) -> float:
    """Rounded to one decimal, halves upwards; 1e-9 keeps a half that is one despite binary fractions."""
    return math.floor(diameter_mm * 10 + 0.5 + 1e-9) / 10


def _step(diameter_mm: float, steps: Steps) -> str:
    """The category of the first step that the diameter is below."""
    return next(category for below_mm, category in steps if diameter_mm < below_mm)
