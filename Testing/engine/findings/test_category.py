"""Every threshold of the size-based category, from both sides (Lung-RADS v2022, baseline)."""

from __future__ import annotations

import pytest

from SlicerCNNSegLib.engine.findings.category import TITLE, one_decimal, scan_category, size_category
from SlicerCNNSegLib.engine.findings.finding import Measurements


def nodule(kind: str, mean_mm: float, solid_mm: float = 0.0) -> Measurements:
    return Measurements(kind, 100.0, mean_mm, mean_mm, 0.0, -100.0, 0.0, solid_mm)


@pytest.mark.parametrize(
    ("kind", "mean_mm", "solid_mm", "category"),
    [
        ("solid", 4.0, 4.0, "2"),
        ("solid", 5.9, 5.9, "2"),
        ("solid", 5.949, 5.949, "2"),
        ("solid", 5.95, 5.95, "3"),  # 6.0 to one decimal
        ("solid", 6.0, 6.0, "3"),
        ("solid", 7.9, 7.9, "3"),
        ("solid", 8.0, 8.0, "4A"),
        ("solid", 14.9, 14.9, "4A"),
        ("solid", 15.0, 15.0, "4B"),
        ("solid", 30.0, 30.0, "4B"),
        ("part-solid", 5.9, 5.0, "2"),
        ("part-solid", 5.9, 0.0, "2"),
        ("part-solid", 6.0, 2.0, "3"),
        ("part-solid", 25.0, 5.9, "3"),
        ("part-solid", 25.0, 6.0, "4A"),
        ("part-solid", 25.0, 7.9, "4A"),
        ("part-solid", 25.0, 8.0, "4B"),
        ("non-solid", 5.0, 0.0, "2"),
        ("non-solid", 29.9, 0.0, "2"),
        ("non-solid", 30.0, 0.0, "3"),
    ],
)
def test_thresholds(kind, mean_mm, solid_mm, category):
    assert size_category(nodule(kind, mean_mm, solid_mm)) == category


def test_the_mean_of_both_diameters_counts():
    assert size_category(Measurements("solid", 1.0, 9.0, 6.8, 0, 0, 1.0, 7.9)) == "3"  # 7.9, though 9 mm long
    assert size_category(Measurements("solid", 1.0, 9.0, 7.0, 0, 0, 1.0, 8.0)) == "4A"


def test_the_scan_has_its_worst_nodules_category():
    assert scan_category(["2", "4A", "3"]) == "4A"
    assert scan_category(["4A", "4B"]) == "4B"
    assert scan_category([]) == "1"


def test_it_is_named_as_size_based():
    assert TITLE.startswith("Size-based")


def test_one_decimal():
    assert [one_decimal(x) for x in (5.94, 5.95, 6.05, 7.949999)] == [5.9, 6.0, 6.1, 7.9]
