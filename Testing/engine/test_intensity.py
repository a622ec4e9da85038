"""Intensities are scaled as by MONAI's transforms of the same name and arguments."""

import pytest
import torch
from monai import transforms

from SlicerCNNSegLib.engine.intensity import NormalizeIntensity, ScaleIntensityRange, intensity

IMAGE = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)) * 100 + 20
IMAGE[:, :2] = 0


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"channel_wise": True},
        {"nonzero": True},
        {"nonzero": True, "channel_wise": True},
        {"subtrahend": 3.0, "divisor": 7.0},
        {"subtrahend": [3.0, 4.0], "divisor": [7.0, 0.0], "channel_wise": True},
    ],
)
@pytest.mark.parametrize(
    "image", [IMAGE, torch.zeros(2, 3, 3, 3), IMAGE.short()], ids=["mixed", "zero", "whole numbers"]
)
def test_normalised_as_by_monai(arguments, image):
    found = intensity(NormalizeIntensity, **arguments)(image)
    expected = transforms.NormalizeIntensity(**arguments)(image.float().clone())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.as_tensor(), rtol=0, atol=0)


def test_the_image_that_was_given_stays_as_it_was():
    image = IMAGE.clone()
    NormalizeIntensity(channel_wise=True, nonzero=True)(image)
    assert torch.equal(image, IMAGE)


def test_as_many_values_as_channels_are_needed():
    with pytest.raises(ValueError, match="the image has 2 channels, but subtrahend or divisor 3 values"):
        NormalizeIntensity(subtrahend=[1.0, 2.0, 3.0], channel_wise=True)(IMAGE)


@pytest.mark.parametrize(
    "arguments",
    [
        {"a_min": -100, "a_max": 50},
        {"a_min": -100, "a_max": 50, "b_min": 0.0, "b_max": 4.0},
        {"a_min": -100, "a_max": 50, "b_min": 0.0, "b_max": 4.0, "clip": True},
    ],
)
def test_scaled_as_by_monai(arguments):
    found = intensity(ScaleIntensityRange, **arguments)(IMAGE)
    torch.testing.assert_close(found, transforms.ScaleIntensityRange(**arguments)(IMAGE).as_tensor(), rtol=0, atol=0)


def test_a_range_of_one_value_is_shifted_as_by_monai():
    arguments = {"a_min": 5, "a_max": 5, "b_min": 1, "b_max": 2}
    with pytest.warns(Warning, match="Divide by zero"):
        expected = transforms.ScaleIntensityRange(**arguments)(IMAGE)
    torch.testing.assert_close(intensity(ScaleIntensityRange, **arguments)(IMAGE), expected.as_tensor(), rtol=0, atol=0)


def test_arguments_that_are_not_known_here_go_to_monai():
    found = intensity(ScaleIntensityRange, a_min=0, a_max=1, dtype="float64")
    assert isinstance(found, transforms.ScaleIntensityRange)
