"""Channels, modality and voxels are checked before a run."""

import numpy as np
import pytest
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.errors import ChannelError, GeometryError, InputError, ModalityError
from SlicerCNNSegLib.engine.inputs import check_extent, check_modality, check_voxels, guess_modality, match_channels
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.volume import Geometry, Volume


@pytest.fixture
def one_channel(tmp_path):
    return ModelPackage.read(write_tiny_model(tmp_path / "one"))


@pytest.fixture
def two_channels(tmp_path):
    return ModelPackage.read(write_tiny_model(tmp_path / "two", channels=(("T1", "MR"), ("FLAIR", "MR"))))


def constant(value, name="", modality="", shape=(1, 4, 4, 4)):
    return Volume(np.full(shape, value, np.float32), np.eye(4), (name,) if name else (), modality)


def test_named_channels_are_put_in_the_models_order(two_channels):
    stacked = match_channels(two_channels, [constant(2, "FLAIR"), constant(1, "T1")])
    assert stacked.array[:, 0, 0, 0].tolist() == [1, 2]
    assert stacked.channel_names == ("T1", "FLAIR")


def test_unnamed_channels_are_taken_in_order(two_channels):
    stacked = match_channels(two_channels, [constant(1), constant(2)])
    assert stacked.array[:, 0, 0, 0].tolist() == [1, 2]
    assert stacked.channel_names == ("T1", "FLAIR")


@pytest.mark.parametrize(
    ("volumes", "message"),
    [
        ([constant(1)], r"expects 2 channel\(s\) \(T1, FLAIR\), got 1"),
        ([constant(1, "T1"), constant(1, "T2")], "has no channel T2; its channels are T1, FLAIR"),
        ([constant(1, "T1"), constant(1, "T1")], "Name each of the channels T1, FLAIR once"),
    ],
)
def test_channels_that_do_not_fit_are_refused(two_channels, volumes, message):
    with pytest.raises(ChannelError, match=message):
        match_channels(two_channels, volumes)


def test_channels_on_two_grids_are_refused(two_channels):
    with pytest.raises(GeometryError, match=r"must lie on one grid"):
        match_channels(two_channels, [constant(1), constant(1, shape=(1, 4, 4, 5))])


def test_hounsfield_values_give_ct_away():
    air = np.full((1, 10, 10, 10), 40, np.int16)
    assert guess_modality(Volume(air, np.eye(4))) == ""
    air[0, 0] = -1000
    assert guess_modality(Volume(air, np.eye(4))) == "CT"
    assert guess_modality(Volume(air, np.eye(4), modality="mr")) == "MR"


def test_another_modality_is_refused_unless_forced(one_channel):
    volume = constant(1, modality="CT")
    with pytest.raises(ModalityError, match=r"one expects MR, but the image is tagged CT; .* --force"):
        check_modality(one_channel, [volume], force=False)
    assert check_modality(one_channel, [volume], force=True) == [
        "Forced: the model expects MR, but the image is tagged CT."
    ]
    assert check_modality(one_channel, [constant(1, modality="MR"), constant(1)], force=False) == []


def test_an_image_far_from_the_training_images_size_is_warned_of(tmp_path):
    extent = {"low": [30.0, 40.0, 20.0], "high": [40.0, 50.0, 30.0]}
    package = ModelPackage.read(write_tiny_model(tmp_path / "sized", extent_mm=extent))

    def grid(*size_ijk):
        return Geometry(size_ijk[::-1], np.diag([-1.0, 1.0, 2.0, 1.0]))

    assert check_extent(package, grid(35, 45, 12)) == []
    assert check_extent(package, grid(44, 55, 16)) == []
    (large,) = check_extent(package, grid(180, 220, 90))
    assert large == (
        "The model sized was trained on images of 30-40 x 40-50 x 20-30 mm (R-L x A-P x S-I), but ran on "
        "180 x 220 x 180 mm: the result is not to be relied on; restrict the run to a region of interest of that size."
    )
    (small,) = check_extent(package, grid(35, 45, 5))
    assert small.endswith("choose a larger region.")


def test_without_a_measured_extent_nothing_is_said(one_channel):
    assert check_extent(one_channel, Geometry((500, 500, 500), np.eye(4))) == []


def test_voxels_that_no_network_can_use_are_refused(one_channel):
    with pytest.raises(GeometryError, match=r"expects a 3-D volume, but The image is one slice"):
        check_voxels(one_channel, constant(1, shape=(1, 1, 4, 4)), 3)
    with pytest.raises(InputError, match=r"The image is empty: every voxel is 3"):
        check_voxels(one_channel, constant(3), 3)
    holed = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)
    check_voxels(one_channel, Volume(holed, np.eye(4)), 3)
    holed[0, 1, 2, 3], holed[0, 0, 0, 0] = np.nan, np.inf
    with pytest.raises(InputError, match=r"holds 2 voxels that are NaN or infinite"):
        check_voxels(one_channel, Volume(holed, np.eye(4)), 3)
