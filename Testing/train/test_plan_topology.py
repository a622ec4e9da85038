"""Levels, strides, kernels and windows: nnU-Net's rules."""

import numpy as np
import pytest

from SlicerCNNSegTrainLib.engine.planning.topology import largest_window, legal_window, smaller_window, topology_of

# strides of the plans that nnU-Net publishes (Isensee et al., Nat Methods 18:203, 2021, supplement), axes reordered
PUBLISHED = {
    "hippocampus": ((40, 56, 40), (1, 1, 1), [(1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)]),
    "liver": ((128, 128, 128), (0.77, 0.77, 1), [(1, 1, 1)] + [(2, 2, 2)] * 5),
    "prostate": (
        (320, 256, 20),
        (0.62, 0.62, 3.6),
        [(1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1)],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_strides_are_nnunets(name):
    size, spacing, strides = PUBLISHED[name]
    assert list(topology_of(size, spacing).strides) == strides
    assert legal_window(size, spacing) == size


def test_kernels_are_flat_while_slices_are_thick():
    topology = topology_of((320, 256, 20), (0.62, 0.62, 3.6))
    assert topology.kernels == ((3, 3, 1), (3, 3, 1), *[(3, 3, 3)] * 5)
    assert topology.divisor == (64, 64, 4)


def test_one_axis_alone_is_halved_from_twelve_voxels_on():
    assert len(topology_of((11, 5, 5), (1, 1, 1)).strides) == 1
    assert topology_of((12, 5, 5), (1, 1, 1)).strides == ((1, 1, 1), (2, 1, 1))


def test_the_window_of_a_small_image_is_the_image():
    assert largest_window((36, 50, 35), (1, 1, 1)) == (40, 56, 40)
    assert largest_window((36, 50, 35), (1, 1, 1), divisor=16) == (48, 64, 48)


def test_the_window_of_a_large_image_is_alike_in_mm():
    window = np.array(largest_window((900, 900, 900), (0.5, 1.0, 1.0)))
    extent = window * (0.5, 1.0, 1.0)
    assert extent.max() / extent.min() < 1.3
    assert window.prod() == pytest.approx(192**3, rel=0.35)


def test_what_a_flat_image_lacks_in_slices_its_window_has_in_width():
    assert largest_window((512, 512, 16), (1, 1, 1)) == (512, 512, 16)
    assert largest_window((2000, 2000), (1, 1)) == (1024, 1024)


@pytest.mark.parametrize(
    ("image", "spacing", "divisor"),
    [((512, 512, 400), (0.8, 0.8, 1), 0), ((320, 320, 20), (0.62, 0.62, 3.6), 0), ((200, 190), (1, 1), 16)],
)
def test_windows_shrink_by_legal_steps_and_keep_the_images_shape(image, spacing, divisor):
    window, seen = largest_window(image, spacing, divisor), []
    while window:
        assert legal_window(window, spacing, divisor) == window
        if seen:
            assert all(a <= b for a, b in zip(window, seen[-1], strict=True))
            assert window != seen[-1]
        if min(window) >= 48 or len(seen) < 5:
            covered = np.array(window) / image
            assert covered.max() / covered.min() < 1.6
        seen.append(window)
        window = smaller_window(window, image, spacing, divisor)
    assert len(seen) > 10
