"""How the shipped model stands a region that is not placed as in the demo, on the MNI head."""

import numpy as np
import pytest

from SlicerCNNSegLib.cli.demo import REGIONS, demo_image
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings

RIGHT = REGIONS[0].bounds


@pytest.fixture(scope="module")
def head():
    return read_volume(demo_image())


def segmented(head, bounds, *, mirror=False):
    settings = SegmentationSettings("hippocampus-mr", (Region("ras", tuple(bounds)),), device="cpu", mirror=mirror)
    return run(settings, [head])


@pytest.fixture(scope="module")
def as_in_the_demo(head):
    return segmented(head, RIGHT)


def dice(first, second, value):
    a, b = first.labelmap == value, second.labelmap == value
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_hippocampus_lies_in_its_region_and_has_its_size(head, as_in_the_demo):
    assert as_in_the_demo.record.warnings == ()
    total = sum(structure.volume_mm3 for structure in as_in_the_demo.structures)
    assert 3000 < total < 5500  # adults have 3 to 4.5 mL; this template is an average that blurs outwards
    index = np.argwhere(as_in_the_demo.labelmap > 0)[:, ::-1]
    right, anterior, superior = head.geometry.ras_from_ijk(index).mean(axis=0)
    assert (right, anterior, superior) == pytest.approx((26, -22, -13), abs=4)
    front, back = (np.argwhere(as_in_the_demo.labelmap == value)[:, 1].mean() for value in (1, 2))
    assert front > back + 10  # j runs towards anterior here, in mm


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift_mm", [-3, 3])
def test_a_region_off_by_3_mm_gives_nearly_the_same(head, as_in_the_demo, axis, shift_mm):
    bounds = list(RIGHT)
    bounds[2 * axis] += shift_mm
    bounds[2 * axis + 1] += shift_mm
    shifted = segmented(head, bounds)
    assert min(dice(shifted, as_in_the_demo, value) for value in (1, 2)) > 0.9


def test_a_region_far_too_large_is_warned_of_and_rightly_so(head, as_in_the_demo):
    larger = segmented(head, [bound + (8 if index % 2 else -8) for index, bound in enumerate(RIGHT)])
    assert min(dice(larger, as_in_the_demo, value) for value in (1, 2)) < 0.7
    (warning,) = larger.record.warnings
    assert "restrict the run to a region of interest of that size" in warning


def test_both_sides_of_the_symmetric_head_are_alike(head, as_in_the_demo):
    right = segmented(head, RIGHT, mirror=True)
    left = segmented(head, REGIONS[1].bounds, mirror=True)
    np.testing.assert_array_equal(right.labelmap, left.labelmap[..., ::-1])
