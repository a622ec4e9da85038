"""Samples: classes, geometry, and batches that depend on the step alone."""

from dataclasses import replace

import numpy as np
import torch

from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.training.samples import Sampler


def load_samples(folder, recipe, cases=None):
    return list(read_cases(read_folder(folder).cases[:cases], NoProgress(), recipe).samples.values())


def test_a_case_comes_in_network_space_with_class_indices(boxes, recipe):
    [sample] = load_samples(boxes, recipe, cases=1)
    assert sample.image.shape == sample.label.shape == (1, 18, 16, 14)
    assert sample.label.dtype == torch.uint8
    assert sample.label.unique().tolist() == [0, 1]  # the file's value 3 is the recipe's first structure
    assert int(sample.label.sum()) == len(sample.foreground) == 6 * 7 * 7
    inside = sample.image[sample.label > 0].mean() - sample.image[sample.label == 0].mean()
    assert inside > 1


def test_batches_depend_on_the_step_and_the_seed_alone(boxes, recipe):
    samples = load_samples(boxes, recipe)
    first, second = Sampler(samples, recipe), Sampler(samples, recipe)
    for step in (0, 1, 2):
        first.batch(step)
    image, label = first.batch(3)
    assert image.shape == label.shape == (2, 1, 16, 16, 12)
    assert torch.equal(image, second.batch(3)[0])
    assert torch.equal(label, second.batch(3)[1])
    assert not torch.equal(image, Sampler(samples, replace(recipe, seed=1)).batch(3)[0])


def test_every_case_is_seen_once_an_epoch(boxes, recipe):
    samples = load_samples(boxes, recipe)
    for index, sample in enumerate(samples):
        sample.image.fill_(float(index))
    sampler = Sampler(samples, replace(recipe, augmentation={}))
    seen = [value for step in range(5) for value in sampler.batch(step)[0].amax(dim=(1, 2, 3, 4)).tolist()]
    assert sorted(seen) == list(range(10))


def test_the_foreground_share_centres_patches_on_structures(boxes, recipe):
    samples = load_samples(boxes, replace(recipe, patch_size=(4, 4, 4)))
    shares = []
    for share in (0.0, 1.0):
        sampler = Sampler(samples, replace(recipe, patch_size=(4, 4, 4), foreground_share=share, augmentation={}))
        shares.append(np.mean([float(sampler.batch(step)[1].float().mean()) for step in range(20)]))
    assert shares[1] > 1.5 * shares[0]
