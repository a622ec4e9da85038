"""Windows against the plain network, mirroring, ensembles, slices, cancelling."""

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from tiny_model import Threshold
from torch.nn.functional import interpolate

from SlicerCNNSegLib.engine.errors import Cancelled, ModelError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.windows import Inferer, class_probabilities, most_probable, predict_planes
from SlicerCNNSegLib.engine.windows.grid import blending_weights
from SlicerCNNSegLib.engine.windows.planes import Planes
from SlicerCNNSegLib.engine.windows.ring import CHUNK, Ring

CONFIG = {"inferer": {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": [8, 8, 8], "overlap": 0.5}}


def probabilities_of(image, networks, inferer, **more):
    with torch.inference_mode():
        return class_probabilities(image, networks, inferer, NoProgress(), **more)


@pytest.fixture
def image():
    return torch.randn(1, 13, 10, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("window", [(8, 8, 8), (96, 80, 33), (16, 1, 5)])
def test_windows_weigh_as_much_as_monais(window):
    found = blending_weights(window, torch.device("cpu"))
    expected = compute_importance_map(window, mode="gaussian", device="cpu")
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)


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


@pytest.fixture
def network():
    """Random, with instance normalisation and PReLU; three classes."""
    torch.manual_seed(1)
    return UNet(3, 1, 3, (8, 16), (2,), num_res_units=1).eval().requires_grad_(False)


def stitched(image, network, window, overlap, batch=4):
    """MONAI's answer, (class, x, y, z)."""
    return sliding_window_inference(image[None], window, batch, network, overlap=overlap, mode="gaussian")[0]


@pytest.mark.parametrize("size", [(20, 17, 33), (33, 20, 17), (9, 33, 20), (16, 16, 16), (7, 9, 5)])
@pytest.mark.parametrize(("overlap", "batch"), [(0.5, 3), (0.25, 1), (0.7, 4)])
def test_scores_are_those_of_monai(network, size, overlap, batch):
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(2))
    window = (16, 16, 8)
    with torch.inference_mode():
        planes = predict_planes(image, [network], Inferer(window, overlap, batch), NoProgress(), probabilities=False)
        found = torch.stack(list(planes.each), dim=planes.axis + 1)
        torch.testing.assert_close(found, stitched(image, network, window, overlap), atol=2e-5, rtol=0)
    assert planes.size == size


@pytest.mark.parametrize("size", [(40, 17, 20), (17, 16, 20), (7, 30, 5)])
def test_mirrored_ensembles_are_those_of_monai(network, size):
    """Passes side by side in a long image, one after the other in a short one."""
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(3))
    window, other = (16, 16, 8), Threshold()
    three = torch.nn.Sequential(other, torch.nn.Conv3d(2, 3, 1)).requires_grad_(False)
    expected = torch.zeros(3, *size)
    with torch.inference_mode():
        for member in (network, three):
            for dims in ((), (1,), (3,), (1, 3)):
                expected += torch.softmax(stitched(image.flip(dims), member, window, 0.5), 0).flip(dims) / 8
    found = probabilities_of(image, [network, three], Inferer(window, 0.5, mirror_axes=(0, 2)), mirror=True)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("wanted", [(20, 17, 33), (31, 17, 44), (9, 40, 21), (20, 17, 34), (1, 1, 1)])
def test_labels_on_another_grid_are_those_of_interpolated_probabilities(network, wanted):
    image = torch.randn(1, 20, 17, 33, generator=torch.Generator().manual_seed(4))
    inferer = Inferer((16, 16, 8), 0.5)
    with torch.inference_mode():
        probabilities = class_probabilities(image, [network], inferer, NoProgress())
        found = most_probable(predict_planes(image, [network], inferer, NoProgress()), wanted)
    grown = interpolate(probabilities[None], wanted, mode="trilinear", align_corners=False)[0]
    assert found.dtype == np.uint8
    assert len(np.unique(found)) == (3 if np.prod(wanted) > 1 else 1)
    highest = grown.max(0).values.numpy()
    taken = np.take_along_axis(grown.numpy(), found[None].astype(int), axis=0)[0]
    assert (highest - taken).max() < 1e-6  # other labels at ties only
    assert (found == grown.argmax(0).numpy()).mean() >= 0.9999


@pytest.mark.parametrize("classes", [2, 3])
def test_of_equally_probable_classes_the_first_one_is_taken(classes):
    scores = torch.randn(classes, 5, 6, 7, generator=torch.Generator().manual_seed(2)).round()
    planes = Planes((5, 6, 7), 0, iter(scores.unbind(1)))
    np.testing.assert_array_equal(most_probable(planes, (5, 6, 7)), scores.numpy().argmax(0))


def test_more_than_256_classes_have_larger_labels():
    image = torch.full((1, 4, 4, 4), 1.0)
    network = torch.nn.Conv3d(1, 300, 1).requires_grad_(False)
    network.bias[299] = 100
    planes = predict_planes(image, [network], Inferer((4, 4, 4)), NoProgress(), probabilities=False)
    labels = most_probable(planes, (4, 4, 4))
    assert labels.dtype == np.uint16
    assert (labels == 299).all()


def test_no_more_planes_are_held_than_a_window_is_deep():
    weights = torch.rand(8, 6, 6) + 0.1
    ring = Ring(weights, (6, 6))
    generator = torch.Generator().manual_seed(5)
    total, counts = torch.zeros(20, 2, 6, 6), torch.zeros(20, 1, 6, 6)
    found = []
    for start in (0, 4, 8, 12):
        scores = torch.randn(8, 2, 6, 6, generator=generator)
        found += [ring.take(plane) for plane in range(len(found), start)]
        ring.add(scores, (start, 0, 0))
        total[start : start + 8] += scores * weights[:, None]
        counts[start : start + 8] += weights[:, None]
    found += [ring.take(plane) for plane in range(len(found), 20)]
    torch.testing.assert_close(torch.stack(found), total / counts)
    assert ring.bytes == 8 * 3 * 6 * 6 * 4


def test_scores_larger_than_a_piece_are_added_in_pieces(monkeypatch):
    monkeypatch.setattr("SlicerCNNSegLib.engine.windows.ring.CHUNK", 50)
    assert CHUNK > 50
    ring, scores = Ring(torch.ones(4, 3, 3), (3, 3)), torch.rand(4, 2, 3, 3)
    ring.add(scores, (2, 0, 0))
    torch.testing.assert_close(torch.stack([ring.take(plane) for plane in range(2, 6)]), scores)


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
