"""Regions of interest: words and boxes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.errors import RegionError, SettingsError
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.volume import Geometry

AXIAL = Geometry((20, 30, 40), np.array([[-2.0, 0, 0, 50], [0, 1.5, 0, -20], [0, 0, 3, 10], [0, 0, 0, 1]]))


@pytest.mark.parametrize(
    ("text", "name", "bounds"),
    [
        ("1,2,3,4,5,6", "", (1, 2, 3, 4, 5, 6)),
        (" left =-1.5,2,3,4e1,5,6", "left", (-1.5, 2, 3, 40, 5, 6)),
        ("a=b=0,1,0,1,0,1", "a=b", (0, 1, 0, 1, 0, 1)),
    ],
)
def test_a_region_in_words(text, name, bounds):
    region = Region.parse("ras", text)
    assert (region.kind, region.name, region.bounds) == ("ras", name, bounds)


@given(
    st.sampled_from(["ijk", "ras"]),
    st.lists(st.tuples(st.integers(-400, 400), st.integers(1, 99)), min_size=3, max_size=3),
    st.sampled_from(["", "left", "my box"]),
)
def test_text_and_region_are_inverse(kind, sides, name):
    region = Region(kind, tuple(b for low, size in sides for b in (low, low + size)), name)
    text = str(region)
    prefix, _, numbers = text.rpartition(f"{kind}:")
    assert Region.parse(kind, prefix + numbers) == region


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d,e,f", "1,2,3,4,5,6,7", "left"])
def test_other_words_are_refused(text):
    with pytest.raises(SettingsError, match=r"Expected a region as \[NAME=\]low,high,low,high,low,high, got"):
        Region.parse("ijk", text)


@pytest.mark.parametrize("bounds", [(0, 1, 0, 1, 0, np.nan), (0, 1, 0, 1, 0, np.inf), (0, 1, 0, 1)])
def test_bounds_that_are_not_six_finite_numbers_are_refused(bounds):
    with pytest.raises(SettingsError, match=r"Expected six finite bounds, got .*; give low,high for each axis"):
        Region("ijk", bounds)


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingsError, match="Expected a region of kind 'ijk' or 'ras', got 'lps'"):
        Region("lps", (0, 1, 0, 1, 0, 1))


@pytest.mark.parametrize("bounds", [(5, 5, 0, 1, 0, 1), (0, 1, 3, 2, 0, 1)])
def test_an_empty_region_is_refused(bounds):
    with pytest.raises(RegionError, match=r"The region ijk:.* is empty: each lower bound must be below"):
        Region("ijk", bounds)


@pytest.mark.parametrize(
    ("bounds", "start", "stop"),
    [
        ((1, 5, 2, 6, 3, 7), (1, 2, 3), (5, 6, 7)),
        ((-5, 500, -5, 500, -5, 500), (0, 0, 0), (40, 30, 20)),
        ((0.2, 4.5, 0, 1, 19, 20), (1, 0, 19), (5, 1, 20)),
    ],
)
def test_an_index_box_is_half_open_and_cut_to_the_image(bounds, start, stop):
    assert Region("ijk", bounds).index_box(AXIAL) == (start, stop)


def test_a_ras_box_takes_the_voxels_whose_centres_are_inside():
    # i runs to the left: R from 10 to 20 is i from 15 to 20; A from -20 to 0 is j up to 13.33; S from 11 on is k from 1
    assert Region("ras", (10, 20, -20, 0, 11, 22)).index_box(AXIAL) == ((15, 0, 1), (21, 14, 5))


def test_a_bound_on_a_centre_is_inside_despite_rounding():
    geometry = Geometry((10, 10, 10), np.diag([0.1, 0.1, 0.1, 1]))
    low, high = geometry.ras_from_ijk(np.array([3, 3, 3])), geometry.ras_from_ijk(np.array([7, 7, 7]))
    bounds = tuple(b for pair in zip(low, high, strict=True) for b in pair)
    assert Region("ras", bounds).index_box(geometry) == ((3, 3, 3), (8, 8, 8))


@given(
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.tuples(*[st.floats(0.5, 4)] * 3),
    st.tuples(*[st.tuples(st.floats(-15, 15), st.floats(3, 20))] * 3),
)
@settings(deadline=None, max_examples=80)
def test_in_oblique_volumes_the_box_holds_every_centre_and_is_the_smallest(quaternion, spacing, sides):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(quaternion).as_matrix() * spacing
    matrix[:3, 3] = matrix[:3, :3] @ np.array([-4.0, -5.0, -6.0])  # the origin lies inside
    geometry = Geometry((13, 11, 9), matrix)
    low, high = np.array([s[0] for s in sides]), np.array([s[0] + s[1] for s in sides])
    region = Region("ras", tuple(np.stack([low, high], axis=1).ravel().tolist()))
    index = np.array(list(np.ndindex(*geometry.size_ijk)))
    points = geometry.ras_from_ijk(index)
    inside = index[((points >= low) & (points <= high)).all(axis=1)]
    corners = geometry.ijk_from_ras(np.array(list(product(*zip(low, high, strict=True)))))
    try:
        start, stop = region.index_box(geometry)
    except RegionError:
        assert len(inside) == 0
        return
    assert (start >= np.zeros(3)).all()
    assert (stop <= np.array(geometry.size_ijk)).all()
    assert (inside >= start).all()
    assert (inside < stop).all()
    expected_start = np.maximum(np.ceil(corners.min(axis=0) - 1e-6), 0)
    expected_stop = np.minimum(np.floor(corners.max(axis=0) + 1e-6) + 1, geometry.size_ijk)
    np.testing.assert_array_equal(start, expected_start)
    np.testing.assert_array_equal(stop, expected_stop)


@pytest.mark.parametrize(
    "region",
    [
        Region("ijk", (40, 45, 0, 5, 0, 5)),
        Region("ras", (500, 600, 0, 5, 20, 30)),
        Region("ras", (0.1, 0.2, 0, 5, 20, 30), "thin"),
    ],
)
def test_a_region_that_holds_no_voxel_is_refused(region):
    with pytest.raises(
        RegionError, match=r"holds no voxel of the image \(size \(40, 30, 20\)\); move it onto the image"
    ):
        region.index_box(AXIAL)
