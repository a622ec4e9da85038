"""Images and boxes to the network's window, as MONAI does it, and maps back."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose, NormalizeIntensity, Orientation, Resize, ResizeWithPadOrCrop

from SlicerCNNSegLib.engine.classification.framing import Framing
from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
RANDOM = np.random.default_rng(0)


def step(name, **arguments):
    return {"_target_": name, "keys": "image", **arguments}


def volume(shape_kji=(6, 8, 10), channels=1, matrix=LPS):
    return Volume(RANDOM.normal(size=(channels, *shape_kji)).astype(np.float32), matrix)


def test_a_volume_is_framed_as_by_monai():
    image = volume()
    framing = Framing.from_transforms(
        [
            step("Orientationd", axcodes="RAS"),
            step("NormalizeIntensityd"),
            step("Resized", spatial_size=[5, 6, 7], mode="trilinear"),
        ],
        slices=0,
    )
    wanted = Compose([Orientation("RAS"), NormalizeIntensity(), Resize((5, 6, 7), mode="trilinear")])(
        image.to_metatensor()
    )
    framed = framing.whole(image)
    np.testing.assert_allclose(framed.tensor.numpy(), wanted.numpy(), atol=1e-6)
    assert (framed.start_ijk, framed.stop_ijk) == ((0, 0, 0), (10, 8, 6))


def test_a_slice_without_orientation_keeps_its_axes_and_is_padded_as_by_monai():
    image = volume((1, 8, 10))
    framing = Framing.from_transforms([step("ResizeWithPadOrCropd", spatial_size=[12, 6])], slices=1)
    wanted = ResizeWithPadOrCrop((12, 6))(image.to_metatensor()[..., 0])
    np.testing.assert_array_equal(framing.whole(image).tensor.numpy(), wanted.numpy())


def test_a_sagittal_slice_is_framed_like_an_axial_one():
    matrix = np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # i to A, j to S, k to R
    axial, sagittal = volume((1, 4, 4)), None
    sagittal = Volume(axial.array, matrix)
    framing = Framing.from_transforms([step("Resized", spatial_size=[4, 4])], slices=1)
    np.testing.assert_array_equal(framing.whole(sagittal).tensor.numpy(), framing.whole(axial).tensor.numpy())


@pytest.mark.parametrize(("axcodes", "order"), [("LPS", (1, 2, 3)), ("LPI", (3, 2, 1))])
def test_neighbours_are_channels_from_the_lowest_slice_of_the_models_orientation(axcodes, order):
    image = volume((6, 4, 4), channels=2)
    framing = Framing.from_transforms(
        [step("Orientationd", axcodes=axcodes), step("Resized", spatial_size=[4, 4], mode="nearest")], slices=3
    )
    start, stop = framing.box(image.geometry, (0, 0, 1), (4, 4, 4))
    assert (start, stop) == ((0, 0, 2), (4, 4, 3))
    wanted = np.concatenate([image.array[:, k].transpose(0, 2, 1) for k in order])
    np.testing.assert_array_equal(framing.frame(image, start, stop).tensor.numpy(), wanted)


def test_at_the_end_of_the_image_the_last_slice_is_its_own_neighbour():
    image = volume((3, 4, 4))
    framing = Framing.from_transforms([step("Resized", spatial_size=[4, 4], mode="nearest")], slices=3)
    framed = framing.frame(image, (0, 0, 0), (4, 4, 1))
    np.testing.assert_array_equal(framed.tensor.numpy(), image.array[0, [0, 0, 1]].transpose(0, 2, 1))


def test_a_model_that_cuts_its_window_sees_the_image_around_a_region():
    image = volume((20, 20, 20))
    framing = Framing.from_transforms([step("ResizeWithPadOrCropd", spatial_size=[8, 8, 8])], slices=0)
    start, stop = framing.box(image.geometry, (9, 9, 0), (11, 11, 2))
    assert (start, stop) == ((6, 6, 0), (14, 14, 5))
    framed = framing.frame(image, start, stop)
    np.testing.assert_array_equal(
        framed.tensor[0, :, :, 1:6].numpy(), image.array[0, 0:5, 6:14, 6:14].transpose(2, 1, 0)
    )
    assert not framed.tensor[0, :, :, 0].any()


def test_spacing_widens_the_box_in_voxels():
    image = Volume(np.zeros((1, 40, 40, 40), np.float32), np.diag([0.5, 0.5, 0.5, 1.0]))
    framing = Framing.from_transforms(
        [step("Spacingd", pixdim=[1.0, 1.0, 1.0]), step("ResizeWithPadOrCropd", spatial_size=[8, 8, 8])], slices=0
    )
    assert framing.box(image.geometry, (20, 20, 20), (22, 22, 22)) == ((13, 13, 13), (29, 29, 29))


def test_a_map_comes_back_to_the_voxels_it_came_from():
    image = volume((6, 8, 10))
    image.array[:] = 0
    image.array[0, 4, 2, 7] = 1
    transforms = [step("Orientationd", axcodes="RAS"), step("ResizeWithPadOrCropd", spatial_size=[12, 6, 6])]
    framing = Framing.from_transforms(transforms, slices=0)
    start, stop = framing.box(image.geometry, (0, 0, 0), image.geometry.size_ijk)
    framed = framing.frame(image, start, stop)
    np.testing.assert_array_equal(framed.on_image(framed.tensor[0]), image.array[0])


def test_a_map_is_resized_back_linearly():
    image = volume((1, 6, 8))
    framing = Framing.from_transforms([step("Resized", spatial_size=[4, 3])], slices=1)
    ramp = torch.arange(4.0)[:, None].expand(4, 3)
    back = framing.whole(image).on_image(ramp)
    assert back.shape == (1, 6, 8)
    np.testing.assert_allclose(back[0, 2], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-6)


@pytest.mark.parametrize(
    ("transforms", "slices", "match"),
    [
        ([step("RandFlipd")], 0, r"step 'RandFlipd' is not supported: expected one of LoadImaged, .*Resized"),
        ([step("Orientationd", axcodes="RAS")], 0, r"Expected Resized or .* a spatial_size of 3 sides .*, got \(\)"),
        (
            [step("Resized", spatial_size=[4, 4, 4])],
            1,
            r"spatial_size of 2 sides .*, got \(4, 4, 4\)",
        ),
        ([step("Resized", spatial_size=[4, 4], size=3)], 1, r"step Resized has wrong arguments: .*size"),
        (
            [step("Spacingd", pixdim=[1, 1, 2]), step("Resized", spatial_size=[4, 4])],
            1,
            r"leaves slices as they are, got 2 mm across them",
        ),
    ],
)
def test_wrong_preprocessing_is_told(transforms, slices, match):
    with pytest.raises(ModelError, match=match):
        Framing.from_transforms(transforms, slices)
