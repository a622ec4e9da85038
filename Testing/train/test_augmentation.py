"""Augmentation: repeatable, switchable, image and label together."""

import pytest
import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegTrainLib.engine.training.augmentation import AUGMENTATIONS, build_augmentation

ALL = AUGMENTATIONS


@pytest.fixture
def case():
    image = torch.randn(1, 12, 12, 16, generator=torch.Generator().manual_seed(0))
    return {"image": image, "label": (image > 0.5).to(torch.uint8)}


def test_the_same_seed_gives_the_same_sample(case):
    augmentation = build_augmentation(dict.fromkeys(ALL, 0.8))
    samples = []
    for seed in (3, 3, 4):
        augmentation.set_random_state(seed=seed)
        samples.append(torch.as_tensor(augmentation(dict(case))["image"]))
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


@pytest.mark.parametrize("name", ALL)
def test_each_can_be_switched(case, name):
    augmentation = build_augmentation({name: 1.0, **{other: 0.0 for other in ALL if other != name}})
    augmentation.set_random_state(seed=1)
    varied = augmentation(dict(case))
    assert len(augmentation.transforms) == 1
    assert not torch.equal(torch.as_tensor(varied["image"]), case["image"])
    moves = name in ("flip_rl", "flip_ap", "quarter_turns", "rotation", "scaling", "translation", "elastic")
    assert torch.equal(torch.as_tensor(varied["label"]), case["label"]) is not moves


@pytest.mark.parametrize(("name", "axis"), [("flip_rl", 1), ("flip_ap", 2)])
def test_a_flip_is_along_its_axis_for_image_and_label(case, name, axis):
    varied = build_augmentation({name: 1.0})(dict(case))
    for key in ("image", "label"):
        assert torch.equal(torch.as_tensor(varied[key]), case[key].flip(axis))


def test_quarter_turns_are_of_image_and_label_around_the_third_axis(case):
    augmentation = build_augmentation({"quarter_turns": 1.0})
    drawn = set()
    for seed in range(12):
        augmentation.set_random_state(seed=seed)
        varied = augmentation(dict(case))
        turns = [k for k in range(4) if torch.equal(torch.as_tensor(varied["image"]), case["image"].rot90(k, (1, 2)))]
        assert torch.equal(torch.as_tensor(varied["label"]), case["label"].rot90(turns[0], (1, 2)))
        drawn.update(turns)
    assert drawn == {1, 2, 3}


def test_a_flip_exchanges_mirrored_structures(case):
    label = torch.zeros_like(case["label"])
    label[:, :4], label[:, -2:] = 1, 3
    varied = build_augmentation({"flip_rl": 1.0}, [(1, 3)])({"image": case["image"], "label": label})["label"]
    assert varied[0, :, 0, 0].tolist() == [1, 1] + 6 * [0] + 4 * [3]


def test_a_rotation_moves_image_and_label_together(case):
    block = torch.zeros(1, 24, 24, 24)
    block[:, 8:16, 6:18, 10:14] = 1
    augmentation = build_augmentation({"rotation": 1.0, "translation": 1.0})
    augmentation.set_random_state(seed=2)
    varied = augmentation({"image": block, "label": block.to(torch.uint8)})
    assert varied["label"].dtype == torch.uint8
    assert not torch.equal(varied["label"], block.to(torch.uint8))
    assert ((varied["image"] > 0.5) == (varied["label"] > 0)).float().mean() > 0.99


def test_a_slice_and_an_unlabelled_image_are_varied_too(case):
    flat = build_augmentation(dict.fromkeys(ALL, 1.0), flat=True)
    varied = flat({key: value[..., 0] for key, value in case.items()})
    assert varied["image"].shape == varied["label"].shape == (1, 12, 12)
    augmentation = build_augmentation(dict.fromkeys(ALL, 1.0))
    assert torch.as_tensor(augmentation({"image": case["image"]})["image"]).shape == case["image"].shape


def test_unknown_names_and_impossible_probabilities_are_refused():
    with pytest.raises(SettingsError, match=r"Unknown augmentation mixup; expected flip_rl"):
        build_augmentation({"mixup": 0.5})
    with pytest.raises(SettingsError, match=r"Expected probabilities from 0 to 1"):
        build_augmentation({"noise": 2.0})
