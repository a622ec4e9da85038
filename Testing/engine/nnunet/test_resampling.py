"""nnU-Net's resampling and windows, each rule by itself."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.transform import resize

from SlicerCNNSegLib.engine.errors import Cancelled, InputError, ModelError
from SlicerCNNSegLib.engine.nnunet.plan import TORCH, Intensity, Resampling
from SlicerCNNSegLib.engine.nnunet.preparing import normalise
from SlicerCNNSegLib.engine.nnunet.resampling import apart_axis, new_size, resampled
from SlicerCNNSegLib.engine.nnunet.windows import Windows, importance, scores_of, starts
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress

ARRAY = np.random.default_rng(0).normal(size=(2, 7, 12, 9)).astype(np.float32)
CPU = torch.device("cpu")


@pytest.mark.parametrize("order", [0, 1, 3])
def test_splines_are_those_of_scikit_image(order):
    found = resampled(ARRAY, (9, 7, 11), (1, 1, 1), (1, 1, 1), Resampling(order=order))
    expected = [resize(channel.astype(float), (9, 7, 11), order, mode="edge", anti_aliasing=False) for channel in ARRAY]
    np.testing.assert_allclose(found, np.float32(expected), rtol=0, atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_apart_are_each_resized_and_the_nearest_is_taken(axis):
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 4.0
    size = [10, 6, 12]
    found = resampled(ARRAY, size, spacing, (1, 1, 1), Resampling())
    within = [n for other, n in enumerate(size) if other != axis]
    planes = np.moveaxis(ARRAY[1].astype(float), axis, 0)
    slices = np.stack([resize(plane, within, 3, mode="edge", anti_aliasing=False) for plane in planes])
    grid = np.mgrid[: size[axis], : within[0], : within[1]].astype(float)
    grid[0] = len(planes) / size[axis] * (grid[0] + 0.5) - 0.5
    expected = np.moveaxis(map_coordinates(slices, grid, order=0, mode="nearest"), 0, axis)
    np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-6)


def test_the_same_size_is_left_alone_and_float16_stays():
    assert resampled(ARRAY, (7, 12, 9), (1, 1, 1), (2, 2, 2), Resampling()) is ARRAY
    assert resampled(ARRAY.astype(np.float16), (7, 12, 8), (1, 1, 1), (1, 1, 1), Resampling()).dtype == np.float16


def test_torch_slices_apart_take_the_nearest():
    found = resampled(ARRAY, (14, 12, 9), (9, 1, 1), (4.5, 1, 1), Resampling(TORCH))
    np.testing.assert_allclose(found, np.repeat(ARRAY, 2, axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("resampling", "before", "after", "axis"),
    [
        (Resampling(), (3.0, 1.0, 1.0), (1, 1, 1), None),  # three times is not more than three times
        (Resampling(), (3.1, 1.0, 1.0), (1, 1, 1), 0),
        (Resampling(), (1.0, 1.0, 1.0), (1, 1, 4), 2),
        (Resampling(), (4.0, 4.0, 1.0), (1, 1, 1), None),  # two axes are the coarsest
        (Resampling(), (5.0, 1.0, 1.0), (1, 1, 4), 0),
        (Resampling(separate=False), (9.0, 1.0, 1.0), (1, 1, 1), None),
        (Resampling(separate=True), (1.0, 1.5, 1.0), (1, 1, 1), 1),
        (Resampling(anisotropy=9), (5.0, 1.0, 1.0), (1, 1, 1), None),
    ],
)
def test_which_axis_is_apart(resampling, before, after, axis):
    assert apart_axis(resampling, before, after) == axis


def test_sizes_are_rounded_halves_to_even():
    assert new_size((5, 7, 10), (0.5, 0.5, 1.0), (1.0, 1.0, 3.0)) == (2, 4, 3)


def test_resampling_can_be_cancelled():
    with pytest.raises(Cancelled):
        resampled(ARRAY, (9, 9, 9), (1, 1, 1), (1, 1, 1), Resampling(), RecordingProgress(cancel_at=0.0))


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("NoNormalization", [0.0, 100.0, 200.0]),
        ("RescaleTo01Normalization", [0.0, 0.5, 1.0]),
        ("RGBTo01Normalization", [0.0, 100 / 255, 200 / 255]),
        ("CTNormalization", [-0.8, 0.0, 1.0]),
        ("ZScoreNormalization", [-(1.5**0.5), 0.0, 1.5**0.5]),
    ],
)
def test_normalisation_in_closed_form(scheme, expected):
    channel = np.array([0.0, 100.0, 200.0], np.float32)
    normalise(channel, Intensity(scheme, mean=100.0, std=50.0, low=60.0, high=150.0), None)
    np.testing.assert_allclose(channel, expected, rtol=1e-6)


def test_only_what_the_mask_holds_is_normalised():
    channel = np.array([0.0, 100.0, 200.0, 7.0], np.float32)
    mask = np.array([False, True, True, False])
    normalise(channel, Intensity("ZScoreNormalization", masked=True), mask)
    np.testing.assert_allclose(channel, [0.0, -1.0, 1.0, 7.0])


def test_colours_out_of_range_are_refused():
    with pytest.raises(InputError, match="colours from 0 to 255, got values from -1 to 3"):
        normalise(np.array([-1.0, 3.0], np.float32), Intensity("RGBTo01Normalization"), None)


def test_windows_are_as_few_as_needed_and_evenly_spread():
    assert starts(110, 64, 0.5) == [0, 23, 46]  # the example of nnU-Net's own source
    assert starts(64, 64, 0.5) == [0]
    assert starts(65, 64, 0.5) == [0, 1]
    assert starts(100, 10, 0.0) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]


def test_weights_of_a_window():
    weights = importance((16, 9))
    assert weights.dtype == torch.half
    assert weights[8, 4] == weights.max() == 10
    assert weights.min() > 0
    assert weights[8 + 2, 4] / 10 == pytest.approx(np.exp(-0.5), abs=2e-2)  # one sigma of 16 / 8 voxels


class Passing(torch.nn.Module):
    """Scores that are the image, so that what comes out must be what came in, wherever windows lie."""

    def __init__(self, factor: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))
        self.shift = shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.factor * image
        found[..., 0] += self.shift
        return found


@pytest.mark.parametrize(
    ("size", "batch"), [((8, 6, 5), 1), ((8, 6, 5), 3), ((20, 20, 20), 1), ((6, 5), 1), ((6, 5), 4)]
)
def test_windows_are_put_together_where_they_belong(size, batch):
    image = torch.from_numpy(ARRAY.round())  # whole numbers: the smallest weights are float16's smallest number
    with torch.inference_mode():
        windows = Windows(size, batch=batch, mirror_axes=(0, 1))
        found = scores_of(image, [Passing(), Passing(3.0)], windows, NoProgress(), stitch_device=CPU)
    assert found.dtype == torch.half
    torch.testing.assert_close(found.float(), 2 * image, rtol=5e-3, atol=5e-3)


def test_mirrored_scores_are_turned_back():
    image = torch.zeros(1, 4, 4, 4)
    with torch.inference_mode():
        windows = Windows((4, 4, 4), mirror_axes=(2,))
        found = scores_of(image, [Passing(shift=1.0)], windows, NoProgress(), stitch_device=CPU)
    # in the middle, where nnU-Net's float16 weights are fine enough
    assert found[0, 2, 2].tolist() == [0.5, 0, 0, 0.5]


def test_progress_counts_all_passes_and_cancels():
    progress = RecordingProgress()
    windows = Windows((4, 4, 4), mirror_axes=(0, 1))
    with torch.inference_mode():
        scores_of(torch.zeros(1, 4, 4, 6), [Passing()] * 2, windows, progress, stitch_device=CPU)
        assert [fraction for fraction, _ in progress.reports] == [n / 16 for n in range(1, 17)]
        with pytest.raises(Cancelled):
            scores_of(
                torch.zeros(1, 4, 4, 6), [Passing()], windows, RecordingProgress(cancel_at=0.0), stitch_device=CPU
            )


def test_scores_that_are_no_numbers_are_told():
    with torch.inference_mode(), pytest.raises(ModelError, match="no finite numbers of 16 bits"):
        scores_of(torch.full((1, 4, 4, 4), 1e6), [Passing()], Windows((4, 4, 4)), NoProgress(), stitch_device=CPU)
