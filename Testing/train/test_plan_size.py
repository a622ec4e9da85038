"""Spacing, window, width and batch that a plan chooses."""

import itertools

import numpy as np
import pytest
from tiny_plans import cpu_budget, fingerprint, gpu_budget

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import check_window
from SlicerCNNSegTrainLib.engine.planning.budget import GIB
from SlicerCNNSegTrainLib.engine.planning.families import FAMILIES, family_of
from SlicerCNNSegTrainLib.engine.planning.size import BATCH_SHARE, COVERED, Sizer, full_spacing, step_seconds

PROSTATE = {"size": (320, 320, 20), "spacing_mm": (0.62, 0.62, 3.6), "cases": 32, "thickness_mm": (25.0, 25.0, 15.0)}
BODY = {"size": (512, 512, 400), "spacing_mm": (0.8, 0.8, 1.0), "cases": 20, "thickness_mm": (30.0, 30.0, 30.0)}


def choose(data, budget, network="dynunet", axes=(0, 1, 2)):
    return Sizer(data, family_of(network), budget, axes).choose()


def test_a_small_image_is_one_window_as_in_the_shipped_recipe():
    size = choose(fingerprint(cases=208), cpu_budget())
    assert size.spacing_mm == (1, 1, 1)
    assert size.window == (40, 56, 40)
    assert size.limit == "image"
    assert 1e6 < size.cost.parameters < 4e6  # what half an hour on a CPU can teach


def test_time_makes_networks_wider_up_to_nnunets():
    widths = [choose(fingerprint(), cpu_budget(minutes)).width for minutes in (1, 5, 30, 600)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1] == 32
    large = choose(fingerprint((128, 128, 128)), gpu_budget())
    assert large.window == (128, 128, 128)
    assert 2e7 < large.cost.parameters < 3.5e7  # nnU-Net's has 31 million


def test_thick_slices_keep_their_spacing_and_are_halved_less():
    size = choose(fingerprint(**PROSTATE), gpu_budget())
    assert size.spacing_mm == (0.62, 0.62, 3.6)
    assert size.window == (320, 320, 20)
    assert size.definition["strides"][1] == [2, 2, 1]
    assert size.definition["kernel_size"][0] == [3, 3, 1]


def test_thick_slices_get_the_10th_percentile_of_their_spacings():
    spacings = tuple((0.6, 0.6, mm) for mm in np.linspace(2, 6, 41))
    data = fingerprint(**PROSTATE | {"cases": 41}, spacings_mm=spacings)
    assert full_spacing(data) == (0.6, 0.6, 2.4)  # nnU-Net's rule; the median is 4
    alike = fingerprint(cases=41, spacings_mm=tuple((1.0, 1.0, mm) for mm in np.linspace(1, 2, 41)))
    assert full_spacing(alike) == (1, 1, 1.5)
    finer = fingerprint(**PROSTATE | {"cases": 41}, spacings_mm=((0.6, 0.6, 0.3),) * 10 + ((0.6, 0.6, 4.0),) * 31)
    assert full_spacing(finer) == (0.6, 0.6, 0.6)  # never finer than the others


@pytest.mark.parametrize("budget", [cpu_budget(30, 8), gpu_budget(60, 8)], ids=["cpu", "gpu"])
def test_a_large_ct_is_made_coarser_until_a_window_sees_a_quarter(budget):
    size = choose(fingerprint(**BODY), budget)
    assert max(size.spacing_mm) / min(size.spacing_mm) < 1.01  # fine axes first
    assert min(size.spacing_mm) > 1
    assert COVERED <= size.covered < 0.5
    assert size.cost.step_bytes(size.batch, "bf16") < 8 * GIB


def test_thin_structures_are_not_made_too_thin():
    size = choose(fingerprint(**BODY | {"thickness_mm": (4.0, 8.0, 40.0)}), cpu_budget())
    assert size.spacing_mm == (1, 2, 2)  # 4 voxels in 4 mm, and no axis coarser than twice that


def test_data_that_would_fill_the_memory_is_made_coarser_even_so():
    thin = fingerprint(**BODY | {"thickness_mm": (3.0, 3.0, 3.0), "cases": 200})
    size = choose(thin, cpu_budget(memory_gib=8))
    voxels = np.prod([512 * 0.8, 512 * 0.8, 400]) / np.prod(size.spacing_mm)
    assert 0.3 * 8 * GIB < 200 * 5 * voxels < 0.52 * 8 * GIB


def test_steps_are_as_long_as_the_budget_says():
    for minutes in (10, 600):
        budget = cpu_budget(minutes)
        size = choose(fingerprint(**BODY), budget)
        steps = budget.training_s / step_seconds(size.cost, size.batch, budget)
        assert size.limit == "time"
        assert 0.45 * budget.wanted_steps < steps < 1.6 * budget.wanted_steps
        assert step_seconds(size.cost, size.batch, budget) < 0.01 * 60 * minutes


def test_a_wanted_number_of_steps_makes_steps_shorter():
    few, many = (choose(fingerprint(**BODY), cpu_budget(steps=steps)) for steps in (400, 4000))
    assert few.cost.flops > 4 * many.cost.flops


@pytest.mark.parametrize("data", [PROSTATE, BODY, {}], ids=["prostate", "body", "small"])
@pytest.mark.parametrize("budget", [cpu_budget, gpu_budget])
def test_more_memory_never_gives_a_smaller_window(data, budget):
    sizes = [choose(fingerprint(**data), budget(600, memory)) for memory in (6, 8, 12, 24, 80)]
    for less, more in itertools.pairwise(sizes):
        assert np.prod(less.window) * less.batch <= np.prod(more.window) * more.batch
        assert np.prod(less.window) <= np.prod(more.window)
        assert all(a >= b for a, b in zip(less.spacing_mm, more.spacing_mm, strict=True))


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize(
    ("data", "axes"),
    [({}, (0, 1, 2)), (PROSTATE, (0, 1, 2)), ({"size": (300, 200, 1)}, (0, 1)), ({"size": (9, 11, 10)}, (0, 1, 2))],
    ids=["small", "prostate", "flat", "tiny"],
)
def test_every_family_gets_windows_that_it_can_take(network, data, axes):
    size = choose(fingerprint(**data), cpu_budget(60), network, axes)
    check_window(size.definition, size.window)
    assert len(size.window) == len(axes) == size.definition["spatial_dims"]
    assert size.width in family_of(network).widths


def test_single_slices_get_a_flat_network():
    size = choose(fingerprint((512, 400, 1), cases=500), cpu_budget(60), axes=(0, 1))
    assert len(size.window) == 2
    assert min(size.window) >= 128


def test_a_batch_grows_on_what_is_left_but_not_over_a_share_of_the_data():
    assert choose(fingerprint(cases=200), gpu_budget()).batch == 4
    cases = 50
    size = choose(fingerprint(cases=cases), gpu_budget())
    assert size.batch == 2  # three windows of 40x56x40 are more than 5 % of 50 images of 36x50x35
    assert 3 * np.prod(size.window) > BATCH_SHARE * cases * 36 * 50 * 35


def test_one_window_is_taken_where_two_do_not_fit():
    data = fingerprint((40, 40, 40), cases=4, names=[f"structure {n}" for n in range(100)])
    batches = {choose(data, gpu_budget(memory_gib=memory)).batch for memory in (0.05, 0.1)}
    assert batches == {1, 2}


def test_too_little_memory_is_told():
    with pytest.raises(SettingsError, match=r"GiB of free memory .* smallest window, got 0.008; close programs"):
        choose(fingerprint((200, 200, 200)), gpu_budget(memory_gib=0.01))


def test_an_unknown_network_is_told_with_those_that_are_known():
    with pytest.raises(SettingsError, match="known for the network 'vnet'; expected one of dynunet, segresnet"):
        family_of("vnet")
