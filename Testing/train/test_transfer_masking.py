"""Masked pretraining: what is hidden, what is learned from it, and what counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from score_time import judged_and_done

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.training.ranks import Ranks
from SlicerCNNSegTrainLib.engine.transfer.loading import load_partially
from SlicerCNNSegTrainLib.engine.transfer.masking import (
    Masking,
    PretrainingTask,
    hidden_blocks,
    pretext_definition,
    unlabelled_sample,
)
from SlicerCNNSegTrainLib.engine.transfer.source import Source

SPACE = (20, 18, 14)
BLOCKS = Masking(block=4)


def waves(seed, channels=1, space=SPACE):
    """A smooth image with zero mean and unit SD, so that what is hidden follows from what is seen."""
    random = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.arange(n) for n in space), indexing="ij")
    image = np.stack([sum(np.sin(0.2 * g + random.uniform(0, 6)) for g in grids) for _ in range(channels)])
    return torch.from_numpy((image - image.mean()) / image.std()).float()


def cases(count, **options):
    return [unlabelled_sample(f"case_{seed}", waves(seed, **options)) for seed in range(count)]


@pytest.fixture
def plain(recipe):
    return replace(recipe, augmentation={})


@pytest.fixture
def task(plain):
    return PretrainingTask(plain, cases(5), cases(7)[5:], BLOCKS)


@pytest.mark.parametrize(("size", "block"), [((40, 56, 40), 8), ((16, 16, 12), 4), ((32, 24), 8)])
def test_the_share_of_whole_blocks_is_hidden(size, block):
    hidden = hidden_blocks(size, Masking(block=block), np.random.default_rng(0))
    assert hidden.shape == size
    blocks = int(np.prod(size)) // block ** len(size)
    assert int(hidden.sum()) == round(0.6 * blocks) * block ** len(size)
    cells = hidden
    for axis in range(len(size)):
        cells = cells.unfold(axis, block, block)
    counts = cells.flatten(len(size)).sum(-1)
    assert set(counts.unique().tolist()) == {0, block ** len(size)}  # a block is hidden as a whole, or not at all


def test_blocks_at_the_far_ends_are_cut_off():
    share = np.mean(
        [hidden_blocks((20, 18, 14), Masking(), np.random.default_rng(seed)).float().mean() for seed in range(200)]
    )
    assert share == pytest.approx(round(0.6 * 18) / 18, abs=0.01)  # of 3 x 3 x 2 blocks, each as often


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.99, 7)])
def test_something_is_hidden_and_something_is_seen(share, count):
    hidden = hidden_blocks((8, 8, 8), Masking(block=4, share=share), np.random.default_rng(0))
    assert int(hidden.sum()) == count * 4**3


def test_the_target_is_the_image_and_what_is_seen_of_it_is_unchanged(task):
    batch = task.batch(0)
    assert batch["image"].shape == batch["target"].shape == (2, 1, 16, 16, 12)
    assert batch["hidden"].shape == (2, 1, 16, 16, 12)
    assert batch["hidden"].dtype == torch.bool
    hidden = batch["hidden"]
    assert hidden.float().mean().item() == pytest.approx(round(0.6 * 48) / 48)
    assert torch.equal(batch["image"][~hidden], batch["target"][~hidden])
    assert not (batch["image"][hidden] == batch["target"][hidden]).any()


def test_the_time_of_a_validation_is_judged_by_a_part_of_it(task):
    judged, part, whole = judged_and_done(task, torch.nn.Conv3d(1, 1, 1))
    assert judged == whole
    assert 0 < part < whole


def test_noise_has_the_patchs_mean_and_spread(plain):
    dark = [unlabelled_sample("dark", 5 + 0.1 * waves(0, channels=2))]
    batch = PretrainingTask(plain, dark, dark, BLOCKS).batch(0)
    hidden = batch["hidden"].expand_as(batch["image"])
    assert not torch.equal(batch["hidden"][0], batch["hidden"][1])
    for channel in range(2):
        noise = batch["image"][0, channel][hidden[0, channel]]
        patch = batch["target"][0, channel]
        assert noise.mean().item() == pytest.approx(patch.mean().item(), abs=0.02)
        assert noise.std().item() == pytest.approx(patch.std().item(), rel=0.1)
        assert abs(np.corrcoef(noise, patch[hidden[0, channel]])[0, 1]) < 0.1


def test_zeros_are_zeros(plain):
    batch = PretrainingTask(plain, cases(2), cases(2), replace(BLOCKS, fill="zero")).batch(0)
    assert not batch["image"][batch["hidden"]].any()


def test_batches_depend_on_the_step_and_the_seed_alone(plain, task):
    again = PretrainingTask(plain, cases(5), cases(1), BLOCKS)
    for step in (0, 1):
        again.batch(step)
    other = PretrainingTask(replace(plain, seed=1), cases(5), cases(1), BLOCKS)
    expected, found = task.batch(2), again.batch(2)
    assert all(torch.equal(expected[key], found[key]) for key in ("image", "target", "hidden"))
    assert not torch.equal(expected["hidden"], task.batch(3)["hidden"])
    assert not torch.equal(expected["hidden"], other.batch(2)["hidden"])


def test_two_processes_make_the_batch_of_one(plain, task):
    parts = [PretrainingTask(plain, cases(5), cases(2), BLOCKS, ranks=Ranks(rank, 2)).batch(3) for rank in range(2)]
    whole = task.batch(3)
    assert all(torch.equal(torch.cat([part[key] for part in parts]), whole[key]) for key in whole)


def test_padding_is_neither_hidden_nor_counted(plain):
    small = [unlabelled_sample("small", waves(0, space=(10, 10, 8)))]
    batch = PretrainingTask(plain, small, small, BLOCKS).batch(0)
    assert batch["hidden"].any()
    assert int(batch["hidden"].sum()) < 2 * 10 * 10 * 8
    assert not batch["hidden"][batch["target"] == 0].any()  # what pads is 0, and no voxel of the waves is
    assert not batch["image"][batch["target"] == 0].any()


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_the_loss_is_the_mean_error_of_hidden_voxels_alone(plain, error):
    task = PretrainingTask(plain, cases(2), cases(2), replace(BLOCKS, error=error))
    batch = task.batch(0)
    off = batch["target"] + torch.where(batch["hidden"], 0.5, 100.0)
    assert task.loss(off, batch).item() == pytest.approx(0.5 if error == "l1" else 0.25, rel=1e-4)
    off.requires_grad_(True)
    task.loss(off, batch).backward()
    assert not off.grad[~batch["hidden"]].any()
    assert off.grad[batch["hidden"]].all()


def test_levels_are_weighed_by_halves(task):
    batch = task.batch(0)
    levels = torch.stack([batch["target"] + 1, batch["target"] + 2, batch["target"] + 4], dim=1)
    assert task.loss(levels, batch).item() == pytest.approx((4 * 1 + 2 * 2 + 1 * 4) / 7, rel=1e-5)


def test_several_channels_are_averaged(plain):
    task = PretrainingTask(plain, cases(2, channels=2), cases(2, channels=2), BLOCKS)
    batch = task.batch(0)
    assert batch["hidden"].shape[1] == 1  # the same voxels are hidden in all channels
    off = batch["target"] + torch.tensor([1.0, 3.0]).view(1, 2, 1, 1, 1)
    assert task.loss(off, batch).item() == pytest.approx(2.0, rel=1e-5)


class Oracle(torch.nn.Module):
    """Gives ``answer`` of the image, and keeps what it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answer, self.seen = answer, []

    def forward(self, image):
        self.seen.append(image)
        return self.answer(image)


def test_the_score_of_known_answers(plain):
    # in a constant plus nothing, zeros are hidden: the answer 2 is right everywhere, 3 is off by one
    held_out = [
        unlabelled_sample("flat", torch.full((1, *SPACE), 2.0)),
        unlabelled_sample("four", torch.full((1, *SPACE), 4.0)),
    ]
    task = PretrainingTask(plain, cases(2), held_out, replace(BLOCKS, fill="zero"))
    level = lambda image: image.amax(dim=(1, 2, 3, 4), keepdim=True).expand_as(image)  # noqa: E731
    assert task.score(Oracle(level)) == {"explained": pytest.approx(1.0), "l1": pytest.approx(0.0)}
    assert task.score(Oracle(lambda image: torch.full_like(image, 3.0))) == {
        "explained": pytest.approx(0.0, abs=1e-6),
        "l1": pytest.approx(1.0),
    }
    # half of the voxels off by 1, half by 3, around a mean of 3 with a variance of 1
    assert task.score(Oracle(lambda image: torch.full_like(image, 5.0)))["explained"] == pytest.approx(1 - 5, rel=1e-5)


def test_held_out_patches_and_their_masks_are_always_the_same(plain):
    held_out = cases(3)
    task = PretrainingTask(plain, cases(2), held_out, BLOCKS)
    augmented = PretrainingTask(replace(plain, augmentation={"noise": 1.0}), cases(2), held_out, BLOCKS)
    first, second = Oracle(lambda image: image), Oracle(lambda image: image)
    assert task.score(first) == augmented.score(second)
    assert torch.equal(torch.cat(first.seen), torch.cat(second.seen))
    assert len(torch.cat(first.seen)) == 4 * len(held_out)
    assert not first.training


def test_a_few_steps_explain_what_is_hidden(plain, task):
    torch.manual_seed(0)
    network = build_network(pretext_definition(plain.network))
    before = task.score(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for step in range(40):
        batch = task.batch(step)
        loss = task.loss(network.train()(batch["image"]), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = task.score(network)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert after["explained"] > max(0.5, before["explained"])
    assert after["l1"] < before["l1"]


def test_the_pretrained_network_starts_a_segmentation(recipe):
    definition = pretext_definition({**recipe.network, "in_channels": 3})
    assert definition == {**recipe.network, "in_channels": 3, "out_channels": 3}
    pretrained, target = build_network(definition), {**recipe.network, "in_channels": 3}
    report = load_partially(build_network(target), Source("pre", "0" * 64, pretrained.state_dict()), target)
    assert {name.split(".")[0] for name in report.fresh} == {"output_block", "deep_supervision_heads"}


def test_flat_patches_are_hidden_too(plain):
    flat = replace(plain, patch_size=(16, 16, 1))
    batch = PretrainingTask(flat, cases(2), cases(2), BLOCKS).batch(0)
    assert batch["image"].shape == batch["hidden"].shape == (2, 1, 16, 16)
    assert int(batch["hidden"].sum()) == 2 * round(0.6 * 16) * 4**2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"block": 0}, r"Expected a block of 1 voxel or more in masking, got 0"),
        ({"share": 1.0}, r"Expected a share between 0 and 1 in masking, got 1.0"),
        ({"share": 0.0}, r"Expected a share between 0 and 1 in masking, got 0.0"),
        ({"fill": "mean"}, r"Expected fill of noise, zero in masking, got 'mean'"),
        ({"error": "ssim"}, r"Expected error of l1, l2 in masking, got 'ssim'"),
    ],
)
def test_settings_that_make_no_sense_are_told(values, message):
    with pytest.raises(SettingsError, match=message):
        Masking(**values)


def test_blocks_as_large_as_the_patch_are_told(plain):
    with pytest.raises(SettingsError, match=r"Expected blocks smaller than the patch of 16x16x12 voxels .* got 16"):
        PretrainingTask(plain, cases(1), cases(1), Masking(block=16))


def test_a_network_without_numbers_of_channels_is_told():
    with pytest.raises(
        SettingsError, match=r"Expected in_channels and out_channels in the definition of UNet to pretrain"
    ):
        pretext_definition({"_target_": "UNet", "spatial_dims": 3, "channels": [4, 8], "strides": [2]})


def test_a_classifier_is_not_pretrained():
    definition = {"_target_": "DenseNet121", "spatial_dims": 3, "in_channels": 1, "out_channels": 2}
    with pytest.raises(SettingsError, match=r"a network that segments, .* got DenseNet121 for classification"):
        pretext_definition(definition)


def test_a_network_that_gives_no_images_is_told(task):
    batch = task.batch(0)
    with pytest.raises(SettingsError, match=r"Expected a network that gives images of shape \(2, 1, 16, 16, 12\)"):
        task.loss(torch.zeros(2, 5), batch)
