"""Learning to classify and to outline at the same time: the masks, and the sum of both losses."""

import csv
from collections import Counter

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tiny_images import CLASSES, recipe_of, write_images
from torch.nn import functional

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.classes import read_classified
from SlicerCNNSegTrainLib.engine.data.images import ImageSample, read_images
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.training.classification import ClassificationTask

TWO_TASKS = {
    "_target_": "SegResNetMultiTask",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "num_classes": 3,
    "init_filters": 8,
    "blocks_down": [1, 1],
    "blocks_up": [1],
}


def outlined():
    """Twelve constant images of three classes, with the left half as their mask."""
    mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    mask[:, :8] = 1
    target = torch.eye(3)
    return [ImageSample(str(n), torch.full((1, 16, 16), float(n)), target[n % 3], mask) for n in range(12)]


def test_a_network_of_two_tasks_learns_both_by_the_sum_of_their_losses():
    samples = outlined()
    terms = {"cross_entropy": 1.0, "mask": 0.5}
    recipe = Recipe.from_json(recipe_of(network=TWO_TASKS, loss=terms, batch_size=8, augmentation={"flip_rl": 1.0}))
    batch = (task := ClassificationTask(recipe, samples, samples)).batch(0)
    assert batch["label"].shape == (8, 1, 16, 16)
    assert (batch["label"][:, :, 8:] == 1).all()  # reversed with the image
    assert (batch["label"][:, :, :8] == 0).all()
    scores, outlines = torch.randn(8, 3), torch.randn(8, 2, 16, 16)
    loss = task.loss({"classification": scores, "segmentation": outlines}, batch)
    truth = batch["label"][:, 0].long()
    found = outlines.softmax(1)[:, 1]
    dice = 1 - (2 * (found * truth).sum() + 1e-5) / (found.sum() + truth.sum() + 1e-5)
    wanted = functional.cross_entropy(scores, batch["target"])
    wanted = wanted + 0.5 * (dice + functional.cross_entropy(outlines, truth))
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_outlines_that_cannot_be_learned_are_told():
    samples = outlined()
    terms = {"cross_entropy": 1.0, "mask": 0.5}
    with pytest.raises(SettingsError, match=r"'mask' and classes.mixup exclude each other"):
        ClassificationTask(Recipe.from_json(recipe_of(loss=terms, classes={"mixup": 0.2})), samples, samples)
    task = ClassificationTask(Recipe.from_json(recipe_of(loss=terms)), samples, samples)
    with pytest.raises(SettingsError, match=r"needs a network of two tasks, such as VGGMultiTask"):
        task.loss(torch.zeros(12, 3), task.batch(0))


def test_masks_are_read_with_their_images_and_wrong_ones_are_told(tmp_path):
    table = write_images(tmp_path, 3)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    for number, (name, _) in enumerate(rows[1:]):
        image = sitk.ReadImage(str(tmp_path / name))
        mask = sitk.Cast(image > 100, sitk.sitkUInt8)
        sitk.WriteImage(mask[:8, :8] if number == 2 else mask, str(tmp_path / f"mask_{number}.png"))
    cells = [[*row, f"mask_{n}.png"] for n, row in enumerate(rows[1:])]
    cells[0][2] = ""
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([[*rows[0], "mask"], *cells])
    recipe = Recipe.from_json(recipe_of(loss={"cross_entropy": 1.0, "mask": 1.0}, network=TWO_TASKS))
    images = read_classified(table, recipe.channel_names, recipe.class_names, multi_label=False)
    reading = read_images(images, recipe, NoProgress())
    assert "needs a file in the column 'mask'" in reading.faults["image_000"]
    assert "expected the mask mask_2.png on the image's grid" in reading.faults["image_002"]
    sample = reading.samples["image_001"]
    wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "image_001.png"))).T > 100
    np.testing.assert_array_equal(sample.mask[0].numpy() > 0, wanted)
    plain = read_images(images, Recipe.from_json(recipe_of()), NoProgress())
    assert plain.samples["image_001"].mask is None


STACKED = {
    "inference": {"slices": 3},
    "loss": {"cross_entropy": 1.0, "mask": 1.0},
    "network": {**TWO_TASKS, "in_channels": 3},
    "preprocessing": [{"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [16, 16]}],
}


def stacks(folder, count=6):
    """Images of five slices: slice n of image m has the value 10 * m + n, and is outlined in its first n rows."""
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "class", "mask"])
        for number in range(count):
            slices = np.arange(5)[:, np.newaxis, np.newaxis]
            array = np.broadcast_to(10.0 * number + slices, (5, 16, 16)).astype(np.float32).copy()
            array[:, 0, 0] -= 0.25  # no two voxels' worth of contrast is an image without any
            rows = np.broadcast_to(np.arange(16)[np.newaxis, :, np.newaxis] < slices, array.shape).astype(np.uint8)
            for name, values in ((f"image_{number}.nii.gz", array), (f"mask_{number}.nii.gz", rows)):
                sitk.WriteImage(sitk.GetImageFromArray(values), str(folder / name))
            writer.writerow([f"image_{number}.nii.gz", CLASSES[number % 3], f"mask_{number}.nii.gz"])
    return folder / "images.csv"


def drawn(folder, augmentation):
    """The task's first 300 windows of ``stacks``: their slices' values within the image, and outlined rows."""
    recipe = Recipe.from_json(recipe_of(**STACKED, batch_size=300, augmentation=augmentation))
    images = read_classified(stacks(folder), recipe.channel_names, recipe.class_names, multi_label=False)
    samples = list(read_images(images, recipe, NoProgress()).samples.values())
    batch = ClassificationTask(recipe, samples, samples).batch(0)
    values = (batch["image"][:, :, 8, 8] % 10).int().tolist()
    return Counter(map(tuple, values)), Counter(
        (tuple(value), int(rows)) for value, rows in zip(values, batch["label"].amax(2).sum((1, 2)), strict=True)
    )


def test_slices_beside_the_middle_one_are_drawn_with_their_outlines(tmp_path):
    values, outlined_rows = drawn(tmp_path, {"next_slice": 0.6})
    assert set(values) == {(0, 1, 2), (1, 2, 3), (2, 3, 4)}
    assert values[1, 2, 3] == pytest.approx(120, abs=30)
    assert values[0, 1, 2] == pytest.approx(90, abs=30)
    assert {rows for _, rows in outlined_rows} == {1, 2, 3}
    assert all(rows == slices[1] for slices, rows in outlined_rows)


def test_slices_are_reversed(tmp_path):
    values, _ = drawn(tmp_path, {"flip_is": 0.5})
    assert set(values) == {(1, 2, 3), (3, 2, 1)}
    assert values[3, 2, 1] == pytest.approx(150, abs=30)


def test_slices_of_what_has_none_are_told():
    samples = outlined()
    with pytest.raises(SettingsError, match=r"next_slice and flip_is are for 2-D networks with inference.slices of 3"):
        ClassificationTask(
            Recipe.from_json(recipe_of(augmentation={"next_slice": 0.5, "flip_is": 0.5})), samples, samples
        )
