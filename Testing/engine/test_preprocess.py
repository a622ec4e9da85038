"""The way into network space and back, on every orientation."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.preprocess import Preprocessing
from SlicerCNNSegLib.engine.volume import Volume

SHAPE = (5, 6, 7)
SPACING = np.array([0.7, 1.1, 2.5])


def signed_permutations():
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            for axis, (row, sign) in enumerate(zip(order, signs, strict=True)):
                matrix[row, axis] = sign
            yield matrix


def volume_along(directions: np.ndarray, seed: int = 0) -> Volume:
    matrix = np.eye(4)
    matrix[:3, :3] = directions * SPACING
    matrix[:3, 3] = (10.0, -20.0, 30.0)
    return Volume(np.random.default_rng(seed).random((1, *SHAPE)).astype(np.float32), matrix)


@pytest.mark.parametrize("directions", list(signed_permutations()))
@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "PIR"])
def test_network_axes_run_as_asked_and_the_way_back_is_exact(directions, axcodes):
    volume = volume_along(directions)
    tensor, placement = Preprocessing(axcodes).prepare(volume)
    # the voxel at the corner of network space furthest from each axcode's end
    index = [
        placement.source.size_ijk[axis] - 1 if flip else 0
        for axis, flip in zip(placement.order, placement.flips, strict=True)
    ]
    ijk = np.empty(3, int)
    ijk[list(placement.order)] = index
    assert tensor[0, 0, 0, 0] == volume.array[0, ijk[2], ijk[1], ijk[0]]
    for axis, letter in enumerate(axcodes):
        step = np.zeros(3)
        step[placement.order[axis]] = -1 if placement.flips[axis] else 1
        moved = volume.geometry.ijk_to_ras[:3, :3] @ step
        ras_axis, sign = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[letter]
        assert np.argmax(np.abs(moved)) == ras_axis
        assert np.sign(moved[ras_axis]) == sign
    back = placement.backward(tensor, "nearest").permute(0, 3, 2, 1).numpy()
    np.testing.assert_array_equal(back, volume.array)


def test_agrees_with_monai_orientation():
    from monai.transforms import Orientation

    for directions in signed_permutations():
        volume = volume_along(directions)
        expected = Orientation(axcodes="RAS", labels=None)(volume.to_metatensor()).as_tensor().numpy()
        np.testing.assert_array_equal(Preprocessing("RAS").prepare(volume)[0].numpy(), expected)


def test_resampling_keeps_the_field_of_view():
    """A linear ramp stays the same function of position: no shift, whatever the spacing."""
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    k, j, i = np.mgrid[0:20, 0:24, 0:30]
    volume = Volume((2.0 * i + 3.0 * j - 5.0 * k)[None].astype(np.float32), matrix)
    preprocessing = Preprocessing("RAS", (1.5, 1.5, 1.5))
    tensor, placement = preprocessing.prepare(volume)
    assert placement.size == (20, 16, 27)
    grid = volume.geometry.resized(placement.size)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in placement.size), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(volume.geometry.ijk_from_ras(grid.ras_from_ijk(index)), -1, 0)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(tensor[0].numpy()[inner], (2 * x + 3 * y - 5 * z)[inner], atol=1e-3)
    back = placement.backward(tensor, "trilinear").permute(0, 3, 2, 1).numpy()[0]
    np.testing.assert_allclose(back[3:-3, 3:-3, 3:-3], volume.array[0, 3:-3, 3:-3, 3:-3], atol=1e-3)


def test_intensity_steps_run_in_order():
    volume = Volume(np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4), np.eye(4))
    steps = [
        {
            "_target_": "monai.transforms.ScaleIntensityRanged",
            "keys": "image",
            "a_min": 0,
            "a_max": 23,
            "b_min": 0.0,
            "b_max": 1.0,
        },
        {"_target_": "NormalizeIntensityd", "keys": "image"},
    ]
    tensor, _ = Preprocessing.from_transforms(steps).prepare(volume)
    assert tensor.dtype == torch.float32
    assert tensor.mean().item() == pytest.approx(0, abs=1e-6)
    assert tensor.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_transforms_survive_the_way_to_a_bundle_and_back():
    steps = (("NormalizeIntensityd", {"channel_wise": True}),)
    preprocessing = Preprocessing("LPS", (1.0, 1.0, 3.0), steps)
    assert Preprocessing.from_transforms(preprocessing.to_transforms()) == preprocessing


def test_an_unsupported_step_is_named():
    with pytest.raises(ModelError, match=r"step 'RandFlipd' is not supported: expected one of Orientationd"):
        Preprocessing.from_transforms([{"_target_": "monai.transforms.RandFlipd"}])
