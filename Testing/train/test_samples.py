"""Samples: classes, geometry, and batches that depend on the step alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.training.losses import IGNORED
from SlicerCNNSegTrainLib.engine.training.ranks import Ranks
from SlicerCNNSegTrainLib.engine.training.samples import Sampler, make_sample


def load_samples(folder, recipe, cases=None):
    return list(read_cases(read_folder(folder).cases[:cases], NoProgress(), recipe).samples.values())


def test_a_case_comes_in_network_space_with_class_indices(boxes, recipe):
    [sample] = load_samples(boxes, recipe, cases=1)
    assert sample.image.shape == sample.label.shape == (1, 18, 16, 14)
    assert sample.label.dtype == torch.uint8
    assert sample.label.unique().tolist() == [0, 1]  # the file's value 3 is the recipe's first structure
    assert int(sample.label.sum()) == len(sample.places[1]) == 6 * 7 * 7
    inside = sample.image[sample.label > 0].mean() - sample.image[sample.label == 0].mean()
    assert inside > 1


def test_batches_depend_on_the_step_and_the_seed_alone(boxes, recipe):
    samples = load_samples(boxes, recipe)
    first, second = Sampler(samples, recipe), Sampler(samples, recipe)
    for step in (0, 1, 2):
        first.batch(step)
    batch = first.batch(3)
    assert batch["image"].shape == batch["label"].shape == (2, 1, 16, 16, 12)
    assert all(torch.equal(batch[key], value) for key, value in second.batch(3).items())
    assert not torch.equal(batch["image"], Sampler(samples, replace(recipe, seed=1)).batch(3)["image"])


def test_ranks_share_a_batch(boxes, recipe):
    samples, four = load_samples(boxes, recipe), replace(recipe, batch_size=4)
    whole = Sampler(samples, four).batch(5)
    parts = [Sampler(samples, four, Ranks(rank, 2)).batch(5) for rank in range(2)]
    assert all(torch.equal(whole["image"][rank::2], part["image"]) for rank, part in enumerate(parts))
    with pytest.raises(SettingsError, match=r"Expected a batch_size that 3 processes can divide evenly, got 4"):
        Sampler(samples, four, Ranks(0, 3)).batch(0)


def test_a_2d_network_gets_slices(boxes, recipe):
    flat = replace(recipe, patch_size=(12, 10, 1), foreground_share=1.0)
    batch = Sampler(load_samples(boxes, flat), flat).batch(0)
    assert batch["image"].shape == batch["label"].shape == (2, 1, 12, 10)
    assert batch["label"].amax(dim=(1, 2, 3)).tolist() == [1, 1]


def test_what_was_not_labelled_is_marked(boxes, recipe):
    [case] = read_folder(boxes).cases[:1]
    image, truth = read_volume(case.images[0]), read_labelmap(case.label).labelmap
    truth[0] = 9
    sample = make_sample("a", image, truth, replace(recipe, ignore_value=9))
    assert sample.contoured == (True, True)
    assert sample.label[..., 0].unique().tolist() == [IGNORED]
    assert list(sample.places) == [1]
    absent = replace(recipe, absent_means_not_contoured=True)
    assert make_sample("a", image, truth, absent).contoured == (True, True)
    assert make_sample("a", image, np.zeros_like(truth), absent).contoured == (True, False)


def test_every_case_is_seen_once_an_epoch(boxes, recipe):
    samples = load_samples(boxes, recipe)
    for index, sample in enumerate(samples):
        sample.image.fill_(float(index))
    sampler = Sampler(samples, replace(recipe, augmentation={}))
    seen = [value for step in range(5) for value in sampler.batch(step)["image"].amax(dim=(1, 2, 3, 4)).tolist()]
    assert sorted(seen) == list(range(10))


def test_the_foreground_share_centres_patches_on_structures(boxes, recipe):
    samples = load_samples(boxes, replace(recipe, patch_size=(4, 4, 4)))
    shares = []
    for share in (0.0, 1.0):
        sampler = Sampler(samples, replace(recipe, patch_size=(4, 4, 4), foreground_share=share, augmentation={}))
        shares.append(np.mean([float(sampler.batch(step)["label"].float().mean()) for step in range(20)]))
    assert shares[1] > 1.5 * shares[0]
