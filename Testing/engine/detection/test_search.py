"""Windows, anchors and boxes in network space, against closed forms."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.detection.anchors import anchors_in, as_levels, fit_anchors, flat
from SlicerCNNSegLib.engine.detection.places import boxes_from_network, boxes_to_network, spacing_of
from SlicerCNNSegLib.engine.detection.search import MOST_CANDIDATES, Search, cut_window, search
from SlicerCNNSegLib.engine.errors import Cancelled, ModelError
from SlicerCNNSegLib.engine.networks import build_network, check_window, facts_of
from SlicerCNNSegLib.engine.preprocess import Preprocessing
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.volume import Geometry

LEVELS = (((4.0, 4.0, 4.0), (6.0, 6.0, 6.0)), ((8.0, 8.0, 8.0), (12.0, 12.0, 12.0)))
NETWORK = {"_target_": "RetinaNetFPN", "widths": [8, 16], "blocks": [1, 1], "pyramid_channels": 8, "num_anchors": 2}
WINDOW = (16, 16, 16)
HOW = Search((((5.0, 5.0, 5.0),),), WINDOW, overlap=0.5, candidate_score=0.5, merge_overlap=0.1)


class Spots(torch.nn.Module):
    """Certain in a cell of which a voxel of the image is above 0.5; boxes are the anchors."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, image):
        self.calls += len(image)
        logits = 20 * (torch.nn.functional.max_pool3d(image, 3, stride=2, padding=1) - 0.5)
        return {"classification": [logits], "box_regression": [torch.zeros_like(logits).repeat(1, 6, 1, 1, 1)]}


def an_image(places, size=(40, 30, 50)):
    image = torch.zeros((1, *size))
    for n, place in enumerate(places):
        image[0][tuple(place)] = 1.0 - 0.1 * n
    return image


def middles(boxes):
    return (boxes[:, :3] + boxes[:, 3:]) / 2


def test_each_anchor_is_the_box_of_its_own_cell_of_the_maps():
    network = build_network(NETWORK)
    maps = network(torch.zeros(2, 1, *WINDOW))
    anchors, cells = anchors_in(LEVELS, WINDOW)
    assert cells == (8**3, 4**3)
    for level, (edge, stride) in enumerate((((4, 6), 2), ((8, 12), 4))):
        for anchor, cell in itertools.product((0, 1), ((0, 0, 0), (1, 2, 3), (3, 0, 2))):
            marked = {key: [torch.zeros_like(one) for one in found] for key, found in maps.items()}
            marked["classification"][level][1, anchor][cell] = 1
            marked["box_regression"][level][1, 6 * anchor + 2][cell] = 1
            scores, offsets = flat(marked, 2)
            (row,) = torch.nonzero(scores[1, :, 0])[:, 0].tolist()
            assert torch.nonzero(offsets[1]).tolist() == [[row, 2]]
            middle = np.array(cell) * stride
            np.testing.assert_allclose(anchors[row], [*(middle - edge[anchor] / 2), *(middle + edge[anchor] / 2)])


def test_cell_n_of_a_level_looks_at_voxel_n_times_its_stride():
    torch.manual_seed(0)
    body = build_network(NETWORK | {"widths": [8], "blocks": [1]}).feature_extractor.body[0][0][0]  # the first layer
    image = torch.zeros(1, 1, *WINDOW)
    image[0, 0, 6, 6, 6] = 1
    seen = (body(image) - body(torch.zeros_like(image))).abs().sum(1)[0]
    assert torch.nonzero(seen).tolist() == [[3, 3, 3]]  # the even voxel is in the middle of one kernel of 3 alone


def test_a_stem_sees_the_image_in_its_own_resolution():
    torch.manual_seed(0)
    network = build_network(NETWORK | {"stem_channels": 8})
    stem = network.feature_extractor.body[0][0]
    image = torch.zeros(1, 1, *WINDOW)
    image[0, 0, 6, 6, 7] = 1
    fine = stem[0].conv(image) - stem[0].conv(torch.zeros_like(image))
    assert fine.shape == (1, 8, *WINDOW)
    assert {(6, 6, 6), (6, 6, 7), (6, 6, 8)} <= {tuple(place) for place in torch.nonzero(fine.abs().sum(1)[0]).tolist()}
    plain = build_network(NETWORK)(image)["classification"]
    assert [one.shape for one in network(image)["classification"]] == [one.shape for one in plain]


def test_anchors_are_spread_over_the_sizes_that_there_are():
    sizes = np.exp(np.random.default_rng(0).uniform(np.log(4), np.log(32), 4000))
    levels = fit_anchors(sizes[:, None] / [1.0, 1.0, 2.0], 2, 2)
    edges = np.array(levels).reshape(4, 3)
    np.testing.assert_allclose(edges[:, 0] / edges[:, 2], 2, rtol=2e-3)  # voxels twice as high
    means = np.prod(edges, axis=1) ** (1 / 3) * 2 ** (1 / 3)
    np.testing.assert_allclose(np.diff(np.log(means)), np.log(32 / 4) * 0.9 / 4, rtol=0.05)  # equal steps
    assert 4 < means[0] < 8
    assert 20 < means[-1] < 32


@pytest.mark.parametrize("plain", [[], [[]], [[[1, 2]]], [[[1, 2, 0]]], [[[1, 1, 1]], [[2, 2, 2], [3, 3, 3]]], 3])
def test_anchors_that_make_no_sense_are_told(plain):
    with pytest.raises(ModelError, match=r"Expected (as many )?anchors"):
        as_levels(plain)


@pytest.mark.parametrize("axes", [np.eye(3), np.diag([-1, 1, -1]), np.eye(3)[[2, 0, 1]] * [1, -1, 1]])
def test_boxes_keep_their_place_through_network_space(axes):
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array([0.7, 0.8, 2.5])
    matrix[:3, 3] = (-31.0, 12.5, -400.25)
    grid = Geometry((40, 60, 50), matrix)
    placement = Preprocessing("RAS", (1.5, 1.5, 1.5)).placement(grid)
    boxes = np.array([[3.0, 4.0, 5.0, 9.5, 8.0, 7.0], [-0.5, -0.5, -0.5, 49.5, 59.5, 39.5]])
    moved = boxes_to_network(boxes, placement)
    np.testing.assert_allclose(boxes_from_network(moved, placement), boxes, atol=1e-9)
    # the whole image is the whole of network space, and distances along R, A, S stay what they are
    np.testing.assert_allclose(moved[1], [*[-0.5] * 3, *(np.array(placement.size) - 0.5)], atol=1e-9)
    ras = [grid.ras_from_ijk(ends) for ends in boxes[0].reshape(2, 3)]
    wanted = np.abs(ras[1] - ras[0])
    np.testing.assert_allclose((moved[0, 3:] - moved[0, :3]) * spacing_of(placement), wanted, atol=1e-9)


def test_a_voxel_in_network_space_is_where_its_box_says():
    matrix = np.diag([-2.0, -2.0, 3.0, 1.0])
    grid = Geometry((20, 30, 40), matrix)
    placement = Preprocessing("RAS", (1.0, 1.0, 1.0)).placement(grid)
    image = torch.zeros(1, 40, 30, 20)
    image[0, 10, 20, 5] = 1
    seen = placement.forward(image, "trilinear")[0].numpy()
    (box,) = boxes_to_network(np.array([[9.5, 19.5, 4.5, 10.5, 20.5, 5.5]]), placement)
    weights = [seen.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    center = [float((w * np.arange(len(w))).sum() / w.sum()) for w in weights]
    np.testing.assert_allclose(center, (box[:3] + box[3:]) / 2, atol=1e-4)


@pytest.mark.parametrize("size", [(40, 30, 50), (16, 16, 16), (10, 40, 17)])
def test_every_object_is_found_once_wherever_it_lies(size):
    random = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(2, n - 2, 8) for n in size], indexing="ij"), axis=-1).reshape(-1, 3)
    places = grid[random.random(len(grid)) < 0.5] + random.integers(0, 2, 3)
    image = torch.zeros((1, *size))
    image[0][tuple(places.T)] = 1
    found = middles(search(image, [Spots()], HOW, NoProgress()).boxes)
    away = np.abs(found[:, None] - places).max(axis=-1)
    assert len(found) == len(places) > 0
    assert set(away.argmin(axis=1).tolist()) == set(range(len(places)))
    assert away.min(axis=1).max() <= 1  # a cell is two voxels wide


def test_only_what_lies_in_the_mask_is_searched_and_found():
    places = [(10, 10, 10), (30, 20, 40), (30, 20, 16), (30, 20, 28)]  # the last in a hole of the mask
    image = an_image(places)
    where = np.zeros(image.shape[1:], dtype=bool)
    where[24:36, 14:26, 10:46] = True
    where[28:33, 18:23, 26:31] = False
    network, everywhere = Spots(), Spots()
    found = search(image, [network], HOW, NoProgress(), where=where)
    away = np.abs(middles(found.boxes)[:, None] - places[1:3]).max(axis=-1)
    assert sorted(away.argmin(axis=1).tolist()) == [0, 1]
    assert away.min(axis=1).max() <= 1
    search(image, [everywhere], HOW, NoProgress())
    assert 0 < network.calls < everywhere.calls
    assert len(search(image, [Spots()], HOW, NoProgress(), where=np.zeros_like(where)).boxes) == 0


def test_windows_cover_every_place_of_the_mask_away_from_their_sides():
    random = np.random.default_rng(1)
    where = np.zeros((40, 30, 50), dtype=bool)
    where[tuple(random.integers(0, n, 12) for n in where.shape)] = True
    starts = np.array(HOW.windows(where.shape, where))
    for place in np.argwhere(where):
        own = place - starts
        assert ((own >= HOW.margin - 1) & (own <= 16 - HOW.margin)).all(axis=1).any(), place


@pytest.mark.parametrize("size", [(32, 32, 32), (13, 13, 13)])
def test_what_has_its_middle_beyond_the_image_is_not_found(size):
    class Away(Spots):
        """Says that a box lies so many of its edges away along x."""

        def forward(self, image):
            found = super().forward(image)
            found["box_regression"][0][:, 0] = self.edges
            return found

    network = Away()
    for place, edges, expected in (
        ((2, 8, 8), -0.3, 1),
        ((2, 8, 8), -0.8, 0),
        ((10, 8, 8), 0.3, 1),
        ((10, 8, 8), 5, 0),
    ):
        network.edges = edges
        found = search(an_image([place], size), [network], HOW, NoProgress())
        assert len(found.boxes) == expected, (place, edges)
        assert (middles(found.boxes) > -0.5).all()
        assert (middles(found.boxes) < np.array(size) - 0.5).all()


def test_boxes_of_an_ensemble_are_fused():
    image = an_image([(20, 16, 24)])
    one = search(image, [Spots()], HOW, NoProgress())
    two = search(image, [Spots(), Spots()], HOW, NoProgress())
    np.testing.assert_allclose(two.boxes, one.boxes)
    np.testing.assert_allclose(two.scores, one.scores)
    blind = Spots()
    blind.forward = lambda image: {
        key: [one - 100 * (key == "classification") for one in maps] for key, maps in Spots()(image).items()
    }
    halved = search(image, [Spots(), blind], replace(HOW, candidate_score=0.4), NoProgress())
    np.testing.assert_allclose(halved.scores, one.scores / 2)


class Askew(Spots):
    """Says a box lies a fifth of its edge too far along every axis."""

    def forward(self, image):
        found = super().forward(image)
        found["box_regression"][0][:, :3] = 0.2
        return found


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_boxes_of_mirrored_passes_are_fused(axes):
    place, size = np.array([20, 16, 24]), (41, 33, 49)  # in one window, and as even mirrored as it is
    image, how = an_image([place], size), replace(HOW, window=(49, 49, 49))
    once = search(image, [Askew()], how, NoProgress())
    both = search(image, [Askew()], how, NoProgress(), mirrorings=((), axes))
    np.testing.assert_allclose(middles(once.boxes), [place + 1], atol=1e-4)
    np.testing.assert_allclose(middles(both.boxes), [place + [axis not in axes for axis in range(3)]], atol=1e-4)
    np.testing.assert_allclose(both.scores, once.scores)


@pytest.mark.parametrize("mask", ["where", "within"])
def test_mirrored_passes_search_the_same_part(mask):
    image, part = an_image([(10, 10, 10), (30, 20, 40)]), np.zeros((40, 30, 50), dtype=bool)
    part[24:] = True
    found = search(image, [Spots()], HOW, NoProgress(), mirrorings=((), (0,), (1, 2)), **{mask: part})
    assert np.abs(middles(found.boxes) - (30, 20, 40)).max() <= 1
    assert len(found.boxes) == 1
    assert found.scores[0] > 0.99


def test_no_more_candidates_are_kept_of_several_passes_than_of_one():
    image = torch.zeros((1, 91, 91, 91))
    image[:, 2::8, 2::8, 2::8] = 1
    how = replace(HOW, candidate_score=0.1)
    assert len(search(image, [Spots()], how, NoProgress(), mirrorings=((), (0,))).boxes) == MOST_CANDIDATES


def test_a_search_can_be_stopped():
    with pytest.raises(Cancelled):
        search(an_image([(20, 16, 24)]), [Spots()], HOW, RecordingProgress(cancel_at=0.3))


def test_beyond_the_image_its_last_voxels_are_repeated():
    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    cut = cut_window(image, (-2, 1, 2), (4, 2, 3))
    np.testing.assert_array_equal(cut[0, :, 0, 0], image[0, [0, 0, 0, 1], 1, 2])
    np.testing.assert_array_equal(cut[0, 3, 1], image[0, 1, 2, 2].repeat(3))


def test_the_network_is_registered_with_its_facts():
    assert facts_of(NETWORK).tasks == ("detection",)
    assert facts_of(NETWORK).stride == (4, 4, 4)
    check_window(NETWORK, WINDOW)
    with pytest.raises(ModelError, match=r"multiples of 4 x 4 x 4 voxels"):
        check_window(NETWORK, (18, 16, 16))
    with pytest.raises(ModelError, match=r"1 to 4 widths and as many blocks"):
        build_network(NETWORK | {"blocks": [1]})
