"""The contact sheet: outlines where the labels are, all crops alike, nothing cut off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.transforms import CenterSpatialCrop

from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.picture.style import DPI, WIDTH
from SlicerCNNSegLib.engine.picture.views import HEADROOM
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.results.batch_sheet import DRAWS, batch_sheet, plain_crop
from SlicerCNNSegTrainLib.engine.results.contact_sheet import Sheet, draw_contact_sheet, write_contact_sheet
from SlicerCNNSegTrainLib.engine.results.tiles import Crop, Grid, grey_window_of, tiles_of
from SlicerCNNSegTrainLib.engine.training.augmentation import build_augmentation
from SlicerCNNSegTrainLib.engine.training.losses import IGNORED
from SlicerCNNSegTrainLib.engine.training.samples import MARGIN, Sample, Sampler

ORANGE, BLUE = (1.0, 0.55, 0.0), (0.2, 0.6, 1.0)
LABELS = (Label(1, "Front", ORANGE), Label(2, "Back", BLUE))
SIZE = (20, 24, 16)
BOX = ((12, 18), (4, 11), (2, 7))
"""First and one past the last voxel of label 1, along R, A and S."""


def a_crop(title="A case", channels=1):
    """Noise, with a box of label 1 that is right, posterior and inferior of the middle."""
    image = np.random.default_rng(0).normal(0, 1, (channels, *SIZE)).astype(np.float32)
    label = np.zeros(SIZE, np.uint8)
    label[tuple(slice(a, b) for a, b in BOX)] = 1
    return Crop(image, label, title)


def a_sheet(*samples, variants=(), labels=LABELS, title="Boxes", lines=("One line",), grid=None):
    return Sheet(title, lines, samples, tuple(variants), labels, grid or Grid("RAS", (1.0, 1.0, 1.0)))


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float) / 255


def outline(figure, color, panel):
    """Edges of a colour's pixels in a panel: left, right, top and bottom, as shares of its size."""
    picture, box = pixels(figure), figure.axes[panel].get_position()
    rows, columns = picture.shape[:2]
    top, bottom, left, right = (1 - box.y1) * rows, (1 - box.y0) * rows, box.x0 * columns, box.x1 * columns
    part = picture[round(top) : round(bottom), round(left) : round(right)]
    y, x = np.nonzero(np.abs(part - color).max(axis=-1) < 0.1)
    assert x.size > 50
    return np.array([x.min(), x.max() + 1, y.min(), y.max() + 1]) / np.repeat(part.shape[1::-1], 2)


def words(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(("panel", "across", "down"), [(0, 0, 1), (1, 0, 2), (2, 1, 2)])
def test_outlines_lie_around_the_labels(panel, across, down):
    # R, A and S are left and up: axes run backwards in the picture
    expected = [(SIZE[axis] - end) / SIZE[axis] for axis in (across, down) for end in BOX[axis][::-1]]
    found = outline(draw_contact_sheet(a_sheet(a_crop())), ORANGE, panel)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_what_is_inside_an_outline_is_left_as_it_is():
    flat = Crop(np.zeros((1, *SIZE)), a_crop().label)
    figure = draw_contact_sheet(a_sheet(flat))
    picture, box = pixels(figure), figure.axes[0].get_position()
    x = box.x0 + (1 - 15 / SIZE[0]) * box.width  # amid the label
    y = box.y0 + 7.5 / SIZE[1] * box.height
    assert not picture[round((1 - y) * picture.shape[0]), round(x * picture.shape[1])].any()


def test_panels_have_the_shape_that_they_have_in_the_patient():
    figure = draw_contact_sheet(a_sheet(a_crop(), grid=Grid("RAS", (1.0, 2.0, 3.0))))
    shapes = [axes.bbox.width / axes.bbox.height for axes in figure.axes]
    assert shapes == pytest.approx([20 / 48, 20 / 48, 48 / 48])
    assert len({round(axes.bbox.width / mm) for axes, mm in zip(figure.axes, (20, 20, 48), strict=True)}) == 1


@pytest.mark.parametrize(("axcodes", "order"), [("LPS", (0, 1, 2)), ("SRA", (2, 0, 1)), ("IAR", (2, 1, 0))])
def test_any_orientation_gives_the_same_picture(axcodes, order):
    crop = a_crop()
    backwards = [axis for axis, code in enumerate(axcodes) if code in "LPI"]
    image, label = crop.image.transpose(0, *(axis + 1 for axis in order)), crop.label.transpose(order)
    turned = Crop(np.flip(image, [axis + 1 for axis in backwards]), np.flip(label, backwards), crop.title)
    spacing = np.array([1.0, 2.0, 3.0])
    expected = pixels(draw_contact_sheet(a_sheet(crop, grid=Grid("RAS", tuple(spacing)))))
    found = pixels(draw_contact_sheet(a_sheet(turned, grid=Grid(axcodes, tuple(spacing[list(order)])))))
    np.testing.assert_array_equal(found, expected)


def test_all_crops_have_one_black_and_one_white():
    crop = a_crop()
    brighter = replace(crop, image=crop.image + 1)
    low, high = grey_window_of([crop, brighter])
    one, other = (tiles_of(each, Grid(), (low, high))[0].picture for each in (crop, brighter))
    inner = (one > 0) & (other < 1)
    np.testing.assert_allclose((other - one)[inner], 1 / (high - low), atol=1e-5)


def test_variants_are_shown_in_the_untouched_crops_plane():
    crop = a_crop()
    deep = replace(crop, image=np.broadcast_to(np.arange(16.0), (1, *SIZE)))
    moved = replace(deep, label=np.roll(crop.label, 5, axis=2))
    window = (0.0, 15.0)
    own, same = tiles_of(moved, Grid(), window), tiles_of(moved, Grid(), window, crop.label)
    assert np.unique(np.round(own[0].picture * 15)) == [8]
    assert np.unique(np.round(same[0].picture * 15)) == [2]
    np.testing.assert_array_equal(same[0].view.labelmap, moved.label[::-1, ::-1, 2].T)


def test_three_channels_of_a_slice_are_colours():
    image = np.random.default_rng(0).uniform(0, 10, (3, 8, 6))
    (tile,) = tiles_of(Crop(image), Grid("LPS"), (0.0, 10.0))
    np.testing.assert_allclose(tile.picture, image.transpose(2, 1, 0) / 10)
    assert tile.size_mm == (8, 6)
    assert tiles_of(Crop(image[:2]), Grid("LPS"), (0.0, 10.0))[0].picture.shape == (6, 8)
    three = a_crop(channels=3)
    axial = tiles_of(three, Grid(), (-9.0, 9.0))[0].picture  # of a volume, three channels are no colours
    np.testing.assert_allclose(axial, (three.image[0, ::-1, ::-1, 2].T + 9) / 18, rtol=1e-6)


def test_what_nobody_labelled_is_outlined_but_chooses_no_plane():
    crop = a_crop()
    label = crop.label.copy()
    label[:, :, :2] = IGNORED  # more of a plane than any label has
    tiles = tiles_of(replace(crop, label=label), Grid(), (0.0, 1.0))
    np.testing.assert_array_equal(tiles[0].view.labelmap, crop.label[::-1, ::-1, 2].T)
    figure = draw_contact_sheet(a_sheet(Crop(np.zeros_like(crop.image), label)))
    assert "Nobody labelled" in words(figure)
    np.testing.assert_allclose(outline(figure, (0.64, 0.67, 0.70), 1)[2:], [14 / 16, 1], atol=0.02)


def test_the_legend_names_what_is_there_and_what_is_not():
    assert words(draw_contact_sheet(a_sheet(a_crop()))) == [
        "Boxes",
        "One line",
        "Front",
        "Not in these samples: Back",
        "A case",
    ]


def test_a_long_name_gets_the_room_that_there_is():
    name = "Superior segmental bronchus of the left lower lobe"
    labels = (Label(1, name, ORANGE), Label(2, "Back", BLUE))
    assert name in words(draw_contact_sheet(a_sheet(a_crop(), labels=labels)))


def test_of_many_structures_the_largest_are_listed():
    label = np.zeros(SIZE, np.uint8)
    for value in range(1, 31):
        label.reshape(-1)[100 * value : 100 * value + value + 10] = value
    labels = tuple(Label(value, f"Structure {value}", ORANGE) for value in range(1, 41))
    said = words(draw_contact_sheet(a_sheet(replace(a_crop(), label=label), labels=labels)))
    assert [f"Structure {value}" in said for value in (6, 7, 30)] == [False, True, True]
    assert "and 6 smaller structures" in said
    assert any(text.startswith("Not in these samples: Structure 31, Structure 32") for text in said)


def test_a_task_without_label_maps_has_captions_alone():
    crops = [Crop(np.full((1, 8, 8), float(n)), None, name) for n, name in enumerate(("Hand", "Head", "Chest"))]
    figure = draw_contact_sheet(a_sheet(*crops))
    assert words(figure) == ["Boxes", "One line", "Hand", "Head", "Chest"]
    grey = [axes.images[0].get_array().mean() for axes in figure.axes]
    assert grey == pytest.approx([0, 0.5 / HEADROOM, 1 / HEADROOM], abs=0.01)


@pytest.mark.parametrize("flat", [False, True])
def test_nothing_is_cut_off_or_covered(flat):
    long = "Segmentation of the lung's lower LOBE with $many$ words " * 3
    crop = a_crop(f"Batch 1, sample 1: {long}")
    crop = Crop(crop.image[..., 5], crop.label[..., 5], crop.title) if flat else crop
    labels = (Label(1, long, ORANGE), Label(2, f"{long} as well", BLUE))
    figure = draw_contact_sheet(
        a_sheet(*[crop] * 7, variants=[crop] * 11, labels=labels, title=long, lines=(long * 3, "x"))
    )
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert width == WIDTH
    assert drawn.x0 >= 0
    assert drawn.x1 <= width
    assert drawn.y0 >= 0
    assert drawn.y1 <= height
    boxes = [text.get_window_extent() for text in figure.texts] + [axes.bbox for axes in figure.axes]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :]), figure.texts[number].get_text()


def test_the_file_is_whole_and_the_same_again(tmp_path):
    sheet = a_sheet(a_crop(), a_crop("Another"), variants=[a_crop("untouched"), a_crop("noise")])
    write_contact_sheet(tmp_path / "a.png", sheet)
    write_contact_sheet(tmp_path / "b.png", sheet)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "a.png").shape[1] == WIDTH * DPI == 1800


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"Expected a file to write"):
        write_contact_sheet(tmp_path, a_sheet(a_crop()))


@pytest.fixture
def samples(boxes, recipe):
    return list(read_cases(read_folder(boxes).cases, NoProgress(), recipe).samples.values())


def test_a_runs_sheet_shows_its_batches(recipe, samples):
    sampler = Sampler(samples, recipe)
    batches = [sampler.batch(0), sampler.batch(1)]
    sheet = batch_sheet(recipe, batches, plain_crop(samples, recipe))
    assert [crop.title for crop in sheet.samples] == [f"Batch {b}, sample {s}" for b in (1, 2) for s in (1, 2)]
    for number, crop in enumerate(sheet.samples):
        np.testing.assert_array_equal(crop.image, batches[number // 2]["image"][number % 2])
        np.testing.assert_array_equal(crop.label, batches[number // 2]["label"][number % 2, 0])
    assert [(label.value, label.name) for label in sheet.labels] == [(1, "Box")]  # 3 in the files
    assert sheet.grid == Grid("RAS", (1.0, 1.0, 1.5))
    assert (sheet.title, sheet.lines[0]) == (
        "Boxes: what the network sees",
        "Patch of 16 x 16 x 12 voxels of 1 x 1 x 1.5 mm; 2 in a batch.",
    )
    assert len(batch_sheet(recipe, batches * 3).samples) == 8


def test_each_augmentation_is_shown_at_its_strongest(recipe, samples):
    varied = replace(recipe, augmentation={"noise": 0.15, "flip_rl": 0.5, "brightness": 0.3, "blur": 0})
    plain = plain_crop(samples, varied)
    assert tuple(plain["image"].shape[1:]) == tuple(n + 2 * MARGIN for n in varied.patch_size)
    sheet = batch_sheet(varied, [Sampler(samples, varied).batch(0)], plain)
    cut = CenterSpatialCrop(varied.patch_size)
    assert [crop.title for crop in sheet.variants] == ["untouched", "flip right-left", "noise", "brightness"]
    untouched, flipped, _, brighter = sheet.variants
    np.testing.assert_array_equal(untouched.image, cut(plain["image"]))
    assert untouched.label.any()
    np.testing.assert_array_equal(flipped.image, untouched.image[:, ::-1])
    np.testing.assert_array_equal(flipped.label, untouched.label[::-1])
    shifts = []
    for seed in range(DRAWS):
        augmentation = build_augmentation({"brightness": 1.0}).set_random_state(seed=varied.seed + seed)
        shifts.append(float((augmentation(dict(plain))["image"] - plain["image"]).mean()))
    assert float((brighter.image - untouched.image).mean()) == pytest.approx(max(shifts, key=abs), rel=1e-4)
    assert sheet.lines[1].replace("\u00a0", " ") == (
        "Augmentation, and how often: flip right-left 50 %, noise 15 %, brightness 30 %."
    )


def test_the_crop_that_is_varied_holds_a_structure(recipe):
    label = torch.zeros(1, 60, 60, 60, dtype=torch.uint8)
    label[:, 40:44, 30:34, 20:24] = 1
    case = Sample("small in a large image", torch.zeros(1, 60, 60, 60), label, (True, True))
    still = replace(recipe, augmentation={})
    (untouched,) = batch_sheet(still, [], plain_crop([case], still)).variants
    assert untouched.label.shape == still.patch_size
    assert untouched.label.any()


def test_sides_change_places_in_a_flip(recipe, samples):
    label = recipe.model["labels"][0]
    sides = [label | {"value": value, "name": name} for value, name in ((3, "Left"), (5, "Right"))]
    both = replace(recipe, model=recipe.model | {"labels": sides}, mirrored=((3, 5),), augmentation={"flip_rl": 1.0})
    plain = plain_crop(samples, both)
    untouched, flipped = batch_sheet(both, [], plain).variants
    assert set(np.unique(untouched.label)) == {0, 1}
    assert set(np.unique(flipped.label)) == {0, 2}


def test_a_sheet_of_a_classifier_and_of_slices(recipe):
    flat = replace(
        recipe,
        patch_size=(16, 16, 1),
        augmentation={},
        preprocessing=(),
        model=recipe.model | {"labels": [], "channels": [{"name": name} for name in ("T1", "T2")]},
    )
    batch = {"image": torch.rand(3, 2, 16, 16), "label": torch.tensor([0, 1, 1])}
    sheet = batch_sheet(flat, [batch], {"image": torch.rand(2, 16, 16)}, names=["cat", "dog", "dog"])
    assert [(crop.title, crop.label) for crop in sheet.samples] == [("cat", None), ("dog", None), ("dog", None)]
    assert sheet.lines == (
        "Patch of 16 x 16 pixels of each image's own size; 2 in a batch. Shown is the first of 2 channels, T1.",
        "No augmentation is switched on.",
    )
    assert [crop.title for crop in sheet.variants] == ["untouched"]
    figure = draw_contact_sheet(sheet)
    assert len(figure.axes) == 4
