"""The contact sheet of a run: its first batches, and what each augmentation of its recipe does."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.transforms import CenterSpatialCrop

from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.picture.legend import LONGEST_TITLE
from SlicerCNNSegLib.engine.wording import elided

from ..recipe import Recipe
from ..training.augmentation import AUGMENTATIONS, build_augmentation
from ..training.samples import MARGIN, Sample, Sampler
from ..training.task import Batch
from .contact_sheet import Sheet
from .tiles import Crop, Grid

SAMPLES_SHOWN = {False: 8, True: 24}
"""Of a 3-D network, with three planes each, and of a 2-D one."""

DRAWS = 3
"""Each augmentation is drawn so often, and shown at its strongest: many draws change next to nothing."""

CROPPED_CASES = 4
"""Training cases from the first of which the crop comes that is shown before and after; to look at more costs time."""


def batch_sheet(
    recipe: Recipe, batches: Sequence[Batch], plain: Batch | None = None, names: Sequence[str] = ()
) -> Sheet:
    """What a person should look at before the first step; ``write_contact_sheet`` makes the picture of it.

    Parameters
    ----------
    recipe:
        Of the run.
    batches:
        The first ones, as the network gets them: ``image``, and ``label`` where the task has label maps.
    plain:
        A single crop without augmentation (see ``plain_crop``); without one, augmentations are only named.
    names:
        A caption for each sample, for example its class; default: the batch and the place in it.
    """
    samples = [
        crop for number, batch in enumerate(batches, start=1) for crop in _crops(batch, f"Batch {number}, sample")
    ]
    if names:
        samples = [replace(crop, title=name) for crop, name in zip(samples, names, strict=True)]
    return Sheet(
        f"{elided(recipe.model['title'], LONGEST_TITLE - 24)}: what the network sees",
        _lines(recipe),
        tuple(samples[: SAMPLES_SHOWN[recipe.flat]]),
        tuple(_variants(recipe, plain)) if plain else (),
        tuple(replace(Label.from_json(label), value=n) for n, label in enumerate(recipe.model["labels"], start=1)),
        Grid(recipe.prepared.axcodes, recipe.prepared.spacing_mm),
    )


def plain_crop(cases: Sequence[Sample], recipe: Recipe) -> Batch:
    """A crop around a structure, without augmentation and with the voxels around it that rotation brings in.

    Returns
    -------
    dict
        ``image`` ``(channel, x, y[, z])`` and ``label`` ``(1, x, y[, z])``.
    """
    x, y, z = (n + 2 * MARGIN for n in recipe.patch_size)
    size = (x, y, 1) if recipe.flat else (x, y, z)
    still = replace(recipe, augmentation={}, patch_size=size, batch_size=1, foreground_share=1.0)
    batch = Sampler(cases[:CROPPED_CASES], still).batch(0)
    return {"image": batch["image"][0], "label": batch["label"][0]}


def _crops(batch: Batch, title: str) -> list[Crop]:
    """The batch's samples, with their label maps where it has such."""
    images, labels = batch["image"], batch.get("label")
    has_maps = labels is not None and labels.ndim == images.ndim
    return [
        Crop(
            image.float().numpy(), labels[n, 0].numpy() if labels is not None and has_maps else None, f"{title} {n + 1}"
        )
        for n, image in enumerate(images)
    ]


def _variants(recipe: Recipe, plain: Batch) -> list[Crop]:
    """The crop untouched, and after each of the recipe's augmentations; the outer voxels that they need are cut off."""
    index_of = {value: index for index, value in enumerate(recipe.label_values, start=1)}
    mirrored = [(index_of[a], index_of[b]) for a, b in recipe.mirrored]
    cut = CenterSpatialCrop(recipe.patch_size[: plain["image"].ndim - 1])
    data: dict[Hashable, torch.Tensor] = {key: plain[key] for key in ("image", "label") if key in plain}
    crops = [_crop(data, cut, "untouched")]
    for name in _switched_on(recipe):
        augmentation = build_augmentation({name: 1.0}, mirrored)
        drawn = []
        for seed in range(DRAWS):
            augmentation.set_random_state(seed=recipe.seed + seed)
            drawn.append(_crop(augmentation(dict(data)), cut, _in_words(name)))
        crops.append(max(drawn, key=lambda crop: float(np.abs(crop.image - crops[0].image).mean())))
    return crops


def _crop(data: Mapping[Hashable, torch.Tensor], cut: CenterSpatialCrop, title: str) -> Crop:
    image, label = (torch.as_tensor(cut(data[key])).numpy() if key in data else None for key in ("image", "label"))
    return Crop(np.asarray(image), None if label is None else label[0], title)


def _lines(recipe: Recipe) -> tuple[str, ...]:
    """Patch and spacing, how often each augmentation happens, and how the planes are to be read."""
    axes = 2 if recipe.flat else 3
    size = " x ".join(map(str, recipe.patch_size[:axes]))
    spacing = recipe.prepared.spacing_mm[:axes]
    of = f"{' x '.join(f'{mm:g}' for mm in spacing)} mm" if all(spacing) else "each image's own size"
    patch = f"Patch of {size} {'pixels' if recipe.flat else 'voxels'} of {of}; {recipe.batch_size} in a batch."
    if len(recipe.channel_names) > 1 and not (recipe.flat and len(recipe.channel_names) == 3):
        patch += f" Shown is the first of {len(recipe.channel_names)} channels, {recipe.channel_names[0]}."
    # spaces at which no line breaks
    shares = [
        f"{_in_words(n)} {100 * recipe.augmentation[n]:.3g} %".replace(" ", "\u00a0") for n in _switched_on(recipe)
    ]
    varied = f"Augmentation, and how often: {', '.join(shares)}." if shares else "No augmentation is switched on."
    planes = "Axial, coronal and sagittal; the patient's right is on the picture's left."
    return (patch, varied) if recipe.flat else (patch, varied, planes)


def _switched_on(recipe: Recipe) -> list[str]:
    """The recipe's augmentations, in the order in which they are applied."""
    return [name for name in AUGMENTATIONS if recipe.augmentation.get(name, 0) > 0]


def _in_words(name: str) -> str:
    return name.replace("_", " ").replace(" rl", " right-left")
