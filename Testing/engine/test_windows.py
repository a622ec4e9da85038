"""Windows against the plain network, mirroring, ensembles, slices, cancelling."""

import pytest
import torch
from tiny_model import Threshold

from SlicerCNNSegLib.engine.errors import Cancelled, ModelError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.windows import Inferer, class_probabilities

CONFIG = {"inferer": {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": [8, 8, 8], "overlap": 0.5}}


def probabilities_of(image, networks, inferer, **more):
    with torch.inference_mode():
        return class_probabilities(image, networks, inferer, NoProgress(), **more)


@pytest.fixture
def image():
    return torch.randn(1, 13, 10, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_windows_of_a_local_network_give_the_plain_answer(image, overlap):
    network = Threshold()
    expected = torch.softmax(network(image[None])[0], dim=0)
    found = probabilities_of(image, [network], Inferer((8, 8, 8), overlap, batch=3))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_image_smaller_than_the_window_is_padded_and_cut_back():
    image = torch.randn(1, 5, 9, 3, generator=torch.Generator().manual_seed(1))
    network = Threshold()
    found = probabilities_of(image, [network], Inferer((8, 8, 8)))
    torch.testing.assert_close(found, torch.softmax(network(image[None])[0], 0), atol=1e-5, rtol=0)


def test_mirroring_averages_over_every_combination(image):
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 2, 3, padding=1)
    inferer = Inferer((16, 16, 24), mirror_axes=(0, 2))
    assert inferer.mirrorings(True) == ((), (0,), (2,), (0, 2))
    padded = torch.zeros(1, 16, 16, 24)
    padded[:, :13, :10, :17] = image  # one window: its padding is on both sides, so compare without
    expected = torch.zeros(2, 16, 16, 24)
    for dims in ((), (1,), (3,), (1, 3)):
        expected += torch.softmax(network(padded.flip(dims)[None])[0], 0).flip(dims) / 4
    found = probabilities_of(padded, [network], inferer, mirror=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_ensemble_is_the_mean_of_its_members(image):
    torch.manual_seed(0)
    members = [torch.nn.Conv3d(1, 2, 1), torch.nn.Conv3d(1, 2, 1)]
    inferer = Inferer((8, 8, 8))
    single = [probabilities_of(image, [member], inferer) for member in members]
    torch.testing.assert_close(
        probabilities_of(image, members, inferer), (single[0] + single[1]) / 2, atol=1e-6, rtol=0
    )


def test_a_2d_network_goes_slice_by_slice(image):
    network = Threshold(dims=2)
    found = probabilities_of(image, [network], Inferer((8, 8, 1), slices=1))
    expected = torch.softmax(Threshold()(image[None])[0], 0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_stacked_slices_put_the_neighbours_beside_the_middle_one(image):
    class Above(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, windows):
            assert windows.shape[1] == 3
            return torch.stack([torch.zeros_like(windows[:, 0]), windows[:, 2]], dim=1)

    found = probabilities_of(image, [Above()], Inferer((16, 16, 1), slices=3))
    above = torch.cat([image[0, ..., 1:], image[0, ..., -1:]], dim=-1)
    torch.testing.assert_close(found[1], torch.sigmoid(above), atol=1e-5, rtol=0)


def test_progress_ends_at_one_and_cancelling_stops(image):
    recording = RecordingProgress()
    with torch.inference_mode():
        class_probabilities(image, [Threshold()], Inferer((8, 8, 8), 0.5, batch=2), recording)
    fractions = [fraction for fraction, _ in recording.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    stopping = RecordingProgress(cancel_at=0.3)
    with pytest.raises(Cancelled, match=r"nothing was written"), torch.inference_mode():
        class_probabilities(image, [Threshold()], Inferer((8, 8, 8), 0.5, batch=2), stopping)
    assert stopping.reports[-1][0] < 0.6


def test_the_configuration_is_read_as_data():
    own = {"cnnseg": {"mirror_axes": [0], "slices": 3}}
    config = {"inferer": {**CONFIG["inferer"], "roi_size": [8, 8], "sw_batch_size": 7}, **own}
    assert Inferer.from_config(config) == Inferer((8, 8, 1), 0.5, 7, (0,), 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"inferer": {"_target_": "SimpleInferer"}}, "Expected a SlidingWindowInferer"),
        ({**CONFIG, "cnnseg": {"slices": 2}}, "odd slices"),
        ({"inferer": {**CONFIG["inferer"], "roi_size": [8, 0, 8]}}, "window of three sizes"),
    ],
)
def test_a_wrong_configuration_is_refused(config, message):
    with pytest.raises(ModelError, match=message):
        Inferer.from_config(config)
