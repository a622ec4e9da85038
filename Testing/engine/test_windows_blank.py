"""Windows without contrast: which they are, and that seeing one of them for all changes nothing."""

import pytest
import torch

from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.windows import Inferer, planes, predict_planes
from SlicerCNNSegLib.engine.windows.blank import stand_ins
from SlicerCNNSegLib.engine.windows.grid import Grid


class Counted(torch.nn.Module):
    """Gives other scores at a window's border than in its middle, as padded convolutions do."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv3d(channels, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 3, 3, padding=1)
        ).requires_grad_(False)
        self.windows = 0

    def forward(self, windows):
        self.windows += len(windows)
        return self.layers(windows)


@pytest.fixture
def image():
    """Noise in one corner, two grey values around it."""
    image = torch.full((1, 24, 20, 16), -1.0)
    image[..., 12:] = 0.5
    image[:, :6, :7, :5] = torch.randn(1, 6, 7, 5, generator=torch.Generator().manual_seed(1))
    return image


INFERER = Inferer((8, 8, 4), 0.5, 2)


def grid_of(image):
    return Grid.over(tuple(image.shape[1:]), INFERER)


def test_windows_with_the_same_value_everywhere_have_a_stand_in(image):
    grid = grid_of(image)
    found = stand_ins(image, grid)
    values = {
        start: image[0, *(slice(a, a + n) for a, n in zip(start, grid.window, strict=True))] for start in grid.windows()
    }
    flat = {start: float(part.max()) for start, part in values.items() if part.max() == part.min()}
    assert set(flat.values()) == {-1.0, 0.5}
    earliest = {value: next(start for start in flat if flat[start] == value) for value in flat.values()}
    assert found == {start: earliest[value] for start, value in flat.items() if start != earliest[value]}


def test_channels_have_values_of_their_own_and_nan_is_like_nothing(image):
    two = torch.cat([image, torch.ones_like(image)])
    assert stand_ins(two, grid_of(image)) == stand_ins(image, grid_of(image))
    two[1, 20, 18, 9] = 2
    assert len(stand_ins(two, grid_of(image))) < len(stand_ins(image, grid_of(image)))
    assert stand_ins(torch.full_like(image, torch.nan), grid_of(image)) == {}


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("probabilities", [False, True])
def test_scores_are_those_of_all_windows(image, monkeypatch, mirror, probabilities):
    def found():
        network, inferer = Counted(), Inferer((8, 8, 4), 0.5, 2, mirror_axes=(0, 2))
        with torch.inference_mode():
            each = predict_planes(
                image, [network], inferer, NoProgress(), mirror=mirror, probabilities=probabilities
            ).each
            return torch.stack(list(each)), network.windows

    fewer, windows = found()
    monkeypatch.setattr(planes, "stand_ins", lambda *_: {})
    expected, all_windows = found()
    assert all_windows == len(grid_of(image)) * (4 if mirror else 1)
    assert windows < all_windows / 2
    torch.testing.assert_close(fewer, expected, atol=1e-6, rtol=1e-6)


def test_of_an_image_without_contrast_one_window_is_seen_and_progress_ends_at_one():
    network, recording = Counted(), RecordingProgress()
    with torch.inference_mode():
        list(predict_planes(torch.zeros(1, 24, 20, 16), [network], INFERER, recording).each)
    assert network.windows == 1
    assert recording.reports[-1][0] == pytest.approx(1.0)


def test_windows_that_differ_in_a_later_channel_do_not_stand_in_for_each_other():
    image = torch.zeros(2, 24, 20, 16)
    image[1, 12:] = 1
    found = stand_ins(image, grid_of(image))
    assert found
    assert all((start[0] < 12) == (one[0] < 12) for start, one in found.items())
