"""Learning to detect: the table, boxes and losses against closed forms, and a run from a table to findings."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.apps.detection.utils.hard_negative_sampler import HardNegativeSampler
from score_time import judged_and_done
from tiny_detector import BALL_MM, BALLS_RAS_MM, chest
from torch.nn import functional

from SlicerCNNSegLib.cli.main import main as main_of_cnnseg
from SlicerCNNSegLib.engine.detection.anchors import CODER, anchors_in, as_levels, flat
from SlicerCNNSegLib.engine.detection.model import DetectionModel
from SlicerCNNSegLib.engine.errors import FileReadError, InputError, SettingsError
from SlicerCNNSegLib.engine.evaluation.detection.tables import read_findings
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.checking.marks import check_marks
from SlicerCNNSegTrainLib.engine.data.cases import Mark, MarkedImage
from SlicerCNNSegTrainLib.engine.data.marked import MarkedReading, make_marked_sample, read_marked_images
from SlicerCNNSegTrainLib.engine.data.marks import read_marked
from SlicerCNNSegTrainLib.engine.data.splits import divide
from SlicerCNNSegTrainLib.engine.detecting import with_anchors
from SlicerCNNSegTrainLib.engine.recipe import Detection, Recipe
from SlicerCNNSegTrainLib.engine.training.augmentation import AUGMENTATIONS
from SlicerCNNSegTrainLib.engine.training.detection import FLIPS, MOVES, DetectionTask

AXES = np.diag([-2.0, -2.0, 2.0, 1.0])
"""Of the images' ijk_to_ras: L, P, S."""

SIZE = (40, 36, 34)
ANCHORS = (((4.0, 4.0, 4.0), (6.0, 6.0, 6.0)), ((8.0, 8.0, 8.0), (10.0, 10.0, 10.0)))


def an_image(seed, count=2):
    """Lung with solid balls of 10 to 16 mm; their middles in LPS mm and diameters."""
    random = np.random.default_rng(seed)
    array = random.normal(-850, 20, SIZE[::-1]).astype(np.float32)
    k, j, i = np.indices(array.shape)
    marks = []
    for n in range(count):
        middle = random.uniform([8 + 14 * n, 8, 8], [16 + 14 * n, 28, 26])
        diameter = random.uniform(10, 16)
        away = 2 * np.linalg.norm(np.stack([i, j, k], axis=-1) - middle, axis=-1)
        array += np.clip((diameter / 2 - away) / 2 + 0.5, 0, 1) * 880
        marks.append((*(middle * 2), diameter))
    return np.rint(array).astype(np.int16), marks


def write_images(folder, count=5, split=False):
    """A table of images with two balls each, the last one without."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in range(count):
        array, marks = an_image(n, 0 if n == count - 1 else 2)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(image, folder / f"image_{n}.nrrd")
        part = ["validation" if n < 2 else "train"] if split else []
        rows += [[f"image_{n}.nrrd", *map(str, mark), *part] for mark in marks or [("",) * 4]]
    write_table(folder / "nodules.csv", rows, ["split"] if split else [])
    return folder / "nodules.csv"


def write_table(path, rows, more=()):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "x", "y", "z", "diameter", *more], *rows])
    return path


def a_recipe(**more):
    shipped = Recipe.read("nodule-detection-demo").to_json()
    plain = {
        "network": shipped["network"] | {"widths": [8, 16], "blocks": [1, 1], "pyramid_channels": 8},
        "preprocessing": [
            {**step, "pixdim": [2.0] * 3} if step["_target_"] == "Spacingd" else step
            for step in shipped["preprocessing"]
        ],
        "inference": shipped["inference"] | {"window": [32, 32, 32]},
        "patch_size": [24, 24, 24],
        "batch_size": 2,
        "precision": "fp32",
        "folds": 2,
        "detection": {"anchors": ANCHORS},
    }
    return Recipe.from_json(shipped | plain | more)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("balls"))


@pytest.fixture(scope="module")
def samples(table):
    images = read_marked(table)
    reading = read_marked_images(images, a_recipe(), progress=_Quiet())
    assert not reading.faults
    return [reading.samples[one.id] for one in images]


class _Quiet:
    def report(self, fraction, stage):
        pass

    def cancelled(self):
        return False


def test_a_table_is_read_in_either_frame(tmp_path, table):
    first = read_marked(table)[0]
    (x, y, z, diameter), _ = an_image(0)[1]
    assert first.id == first.patient == "image_0"
    assert first.split == ""
    np.testing.assert_allclose(first.marks[0].center_ras_mm, (-x, -y, z))
    assert first.marks[0].diameter_mm == pytest.approx(diameter)
    assert read_marked(table)[-1].marks == ()
    (tmp_path / "a.nrrd").touch()
    rows = [["a.nrrd", 1, 2, 3, 4, "ras", "p", "kept"], ["a.nrrd", 1, 2, 3, 4, "LPS", "p", ""]]
    (image,) = read_marked(write_table(tmp_path / "t.csv", rows, ["frame", "patient", "note"]))
    assert [mark.center_ras_mm for mark in image.marks] == [(1, 2, 3), (-1, -2, 3)]
    assert image.patient == "p"


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ([["a.nrrd", "1", "2", "x", "4"]], [], r"row 2: expected numbers for x, y, z, diameter"),
        ([["a.nrrd", "1", "2", "3", "0"]], [], r"row 2: expected a diameter above 0 mm, got 0"),
        ([["a.nrrd", "1", "2", "3", "4", "XYZ"]], ["frame"], r"expected the frame LPS or RAS, got 'XYZ'"),
        ([["a.nrrd", "1", "2", "3", "4", "p"], ["a.nrrd", "1", "2", "3", "4", "q"]], ["patient"], r"another patient"),
        ([["a.nrrd", "1", "2", "3", "4"], ["a.nrrd", "", "", "", ""]], [], r"row 3 names no nodule"),
        ([["a.nrrd", "1", "2", "3", "4", "trian"]], ["split"], r"expected a split out of train"),
    ],
)
def test_wrong_rows_are_told(tmp_path, rows, more, message):
    (tmp_path / "a.nrrd").touch()
    with pytest.raises(InputError, match=message):
        read_marked(write_table(tmp_path / "t.csv", rows, more))


def test_a_table_without_its_columns_or_files_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("image,x,y\na.nrrd,1,2\n")
    with pytest.raises(InputError, match=r"lacks the column 'z'; expected image, x, y, z, diameter"):
        read_marked(tmp_path / "t.csv")
    with pytest.raises(FileReadError, match=r"there is no file"):
        read_marked(write_table(tmp_path / "t.csv", [["b.nrrd", 1, 2, 3, 4]]))


def test_a_nodules_box_lies_where_its_voxels_are(samples):
    for n, sample in enumerate(samples[:2]):
        truths = an_image(n)[1]
        for box, (x, y, z, diameter) in zip(sample.boxes.numpy(), truths, strict=True):
            # network space runs to R, A, S: the first two axes are reversed
            middle = np.array([SIZE[0] - 1 - x / 2, SIZE[1] - 1 - y / 2, z / 2])
            np.testing.assert_allclose((box[:3] + box[3:]) / 2, middle, atol=1e-3)
            np.testing.assert_allclose(box[3:] - box[:3], diameter / 2, atol=1e-4)
            assert sample.image[0][tuple(np.rint(middle).astype(int))] > 0
    values = samples[0].image[0].numpy()[tuple(samples[0].places.T)]
    assert values.max() < 0
    assert len(samples[0].places) == 4000


def test_a_batch_is_a_function_of_seed_and_step_and_its_boxes_follow_it(samples):
    recipe = a_recipe(augmentation={"flip_rl": 0.5, "flip_pa": 0.5, "flip_is": 0.5}, foreground_share=1.0)
    task, again = (DetectionTask(recipe, samples[:4], samples[:2]) for _ in range(2))
    seen = 0
    for step in range(6):
        batch, same = task.batch(step), again.batch(step)
        torch.testing.assert_close(batch["image"], same["image"])
        torch.testing.assert_close(batch["boxes"], same["boxes"], equal_nan=True)
        for image, boxes in zip(batch["image"], batch["boxes"], strict=True):
            for box in boxes[~boxes[:, 0].isnan()]:
                middle = ((box[:3] + box[3:]) / 2).round().long().clamp(0, 23)
                assert image[0][tuple(middle)] > 0  # a ball is there, also after flips
                seen += 1
    assert seen > 8
    assert not torch.equal(task.batch(0)["image"], task.batch(1)["image"])


@pytest.mark.parametrize("name", sorted({*AUGMENTATIONS, *FLIPS}))
def test_what_boxes_cannot_follow_is_refused(samples, name):
    recipe = a_recipe(augmentation={name: 1.0}, foreground_share=1.0)
    if name in MOVES:
        with pytest.raises(SettingsError, match=f"A detection has no augmentation {name}; take flip_rl"):
            DetectionTask(recipe, samples[:4], samples[:2])
        return
    task = DetectionTask(recipe, samples[:4], samples[:2])
    batches = [task.batch(step) for step in range(4)]
    for image, boxes in ((image, boxes) for batch in batches for image, boxes in zip(*batch.values(), strict=True)):
        middles = ((boxes[:, :3] + boxes[:, 3:]) / 2)[~boxes[:, 0].isnan()].round().long().clamp(0, 23)
        assert all(image[0][tuple(middle)] > image.median() + 0.5 for middle in middles)


def one_object(samples, loss):
    """A task, and of one window with one object: the network's output, the batch and which anchors learn it."""
    recipe = a_recipe(loss=loss)
    task = DetectionTask(recipe, samples[:4], samples[:2])
    levels = as_levels(ANCHORS)
    anchors, _ = anchors_in(levels, (24, 24, 24))
    target = anchors[3001].clone()
    output = build_network(recipe.network)(torch.zeros(1, 1, 24, 24, 24))
    batch = {"image": torch.zeros(1), "boxes": target[None, None]}
    _, matches = task._matcher(target[None], anchors, (12**3, 6**3), 2)
    positive = torch.nonzero(matches >= 0)[:, 0]
    assert 3001 in positive.tolist()
    assert len(positive) < 30
    offsets = flat(output, 2)[1]
    box = functional.smooth_l1_loss(
        offsets[0, positive], CODER.encode_single(target.expand(len(positive), 6), anchors[positive]), beta=1 / 9
    )
    return task, output, batch, matches, box.item()


def test_the_loss_is_the_focal_loss_of_all_anchors_and_smooth_l1_of_the_matched_ones(samples):
    task, output, batch, matches, box = one_object(samples, {"box": 3.0, "focal": 2.0})
    score = flat(output, 2)[0][0, :, 0].sigmoid().detach().numpy().astype(float)
    learning = matches.numpy() >= 0
    right = np.where(learning, score, 1 - score)
    focal = -np.where(learning, 0.75, 0.25) * (1 - right) ** 2 * np.log(right)
    loss = task.loss(output, batch)
    assert loss.item() == pytest.approx(2 * focal.sum() / learning.sum() + 3 * box, rel=1e-4)


def test_the_loss_is_cross_entropy_of_the_worst_of_the_background(samples):
    task, output, batch, matches, box = one_object(samples, {"hard_negatives": 2.0, "box": 3.0})
    torch.manual_seed(0)
    loss = task.loss(output, batch)
    score = flat(output, 2)[0][0, :, 0].detach()
    learning = torch.nonzero(matches >= 0)[:, 0]
    torch.manual_seed(0)
    sampler = HardNegativeSampler(batch_size_per_image=256, positive_fraction=0.25, min_neg=32, pool_size=4)
    chosen, background = sampler([matches + 1], score)
    both = torch.nonzero(chosen[0].bool() | background[0].bool())[:, 0]
    assert set(learning.tolist()) < set(both.tolist())
    wanted = functional.binary_cross_entropy_with_logits(score[both], (matches[both] >= 0).float())
    assert loss.item() == pytest.approx(2 * wanted.item() + 3 * box, rel=1e-5)
    worst = score[matches < 0].sort(descending=True).values[4 * 32]
    assert (score[both][matches[both] < 0] >= worst).all()


@pytest.mark.parametrize("term", ["focal", "hard_negatives"])
def test_without_a_nodule_the_background_is_learned(samples, term):
    recipe = a_recipe(loss={term: 1.0, "box": 1.0})
    task = DetectionTask(recipe, samples[:4], samples[:2])
    output = build_network(recipe.network)(torch.zeros(1, 1, 24, 24, 24))
    loss = task.loss(output, {"image": torch.zeros(1), "boxes": torch.full((1, 1, 6), float("nan"))})
    scores = flat(output, 2)[0]
    each = functional.softplus(scores)
    if term == "focal":
        assert loss.item() == pytest.approx((0.25 * scores.sigmoid() ** 2 * each).sum().item(), rel=1e-4)
    else:
        assert each.min() <= loss <= each.max()
    gradients = torch.autograd.grad(loss, output["classification"])
    assert min(one.min() for one in gradients) >= 0  # no score rises
    assert max(one.max() for one in gradients) > 0


def test_the_score_is_the_cpm_of_what_a_network_finds(samples):
    class Perfect(torch.nn.Module):
        """Certain at each box's nearest anchor; where a window lies is found by its voxels."""

        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image):
            smooth = functional.avg_pool3d(image, 3, stride=1, padding=1)
            peaks = (smooth == functional.max_pool3d(smooth, 9, stride=1, padding=4)) & (smooth > 0)
            logits = torch.where(peaks, 9.0, -9.0)
            near = functional.max_pool3d(logits, 3, stride=2, padding=1)
            coarse = functional.max_pool3d(logits, 3, stride=4, padding=1) * 0 - 9
            none = torch.full_like(near, -9.0)
            maps = [torch.cat([near, none], 1), torch.cat([coarse, coarse], 1)]
            return {"classification": maps, "box_regression": [one.repeat(1, 6, 1, 1, 1) * 0 for one in maps]}

    task = DetectionTask(a_recipe(), samples[:4], samples[:4])
    scores = task.score(Perfect())
    assert scores == {"cpm": 1.0, "sensitivity at 1": 1.0}
    blind = DetectionTask(a_recipe(inference=a_recipe().inference | {"candidate_score": 0.9999}), samples, samples[:2])
    assert blind.score(Perfect())["cpm"] == 0.0


def test_recipes_that_boxes_cannot_follow_are_told(samples):
    with pytest.raises(SettingsError, match=r"A detection has no augmentation rotation; take flip_rl"):
        DetectionTask(a_recipe(augmentation={"rotation": 0.2}), samples, samples)
    with pytest.raises(SettingsError, match=r"terms box and one of focal, hard_negatives, got {'dice': 1.0}"):
        DetectionTask(a_recipe(loss={"dice": 1.0}), samples, samples)
    with pytest.raises(SettingsError, match=r"no detection.anchors; plan the run"):
        DetectionTask(replace(a_recipe(), detection=Detection()), samples, samples)
    with pytest.raises(SettingsError, match=r"detection.positive_share within 0 and 1"):
        Detection(positive_share=1.0)


def test_anchors_are_fitted_to_the_training_images_alone(tmp_path):
    table = write_images(tmp_path / "split", split=True)
    recipe = with_anchors(a_recipe(detection={}), table)
    trained = [mark[3] for n in (2, 3) for mark in an_image(n)[1]]
    edges = np.array(recipe.detection.anchors)
    assert edges.shape == (2, 2, 3)
    assert min(trained) / 2 <= edges.min()
    assert edges.max() <= max(trained) / 2
    assert with_anchors(a_recipe(), table).detection.anchors == ANCHORS
    empty = write_table(tmp_path / "split" / "none.csv", [["image_0.nrrd", "", "", "", ""]])
    with pytest.raises(InputError, match=r"Expected nodules in none.csv"):
        with_anchors(a_recipe(detection={}), empty)


def test_the_check_names_what_would_spoil_a_training(table):
    images = read_marked(table)
    outside = replace(images[0], marks=(Mark((500.0, 0.0, 0.0), 8.0),))
    reading = read_marked_images([outside, *images[1:]], a_recipe(), _Quiet())
    assert "1 of 1 nodules lie outside of the image" in reading.faults["image_0"]
    assert "whether x, y, z are LPS or RAS" in reading.faults["image_0"]
    twice = replace(images[1], marks=images[1].marks * 2)
    huge = replace(images[2], marks=(Mark((0.0, 0.0, 0.0), 120.0),))
    some = [images[0], twice, huge, *images[3:]]
    same = MarkedReading(hashes={one.id: "same" if n < 2 else one.id for n, one in enumerate(some)})
    report = check_marks(some, same, divide(some, 5, 0), [0, 1, 2, 3, 4])
    kinds = [(finding.severity, finding.kind) for finding in report.findings]
    assert kinds.count(("error", "duplicate")) == 2  # an image in two folds; a nodule in two rows
    assert ("warning", "diameter") in kinds
    assert ("error", "no nodules") in kinds  # the fold with the image that has none


def test_images_of_another_kind_are_told(samples):
    recipe = a_recipe()
    image = Volume(np.zeros((1, 8, 8, 8), np.int16), AXES, modality="MR")
    one = MarkedImage("a", (), (), "a")
    sample = make_marked_sample(one, replace(image, array=image.array + 40), recipe)
    assert len(sample.places) == 512  # no lung: anywhere


def test_how_long_a_validation_takes_is_judged_by_one_image(samples):
    task = DetectionTask(a_recipe(), samples[:4], samples[:4])
    judged, part, whole = judged_and_done(task, build_network(a_recipe().network))
    assert 4 * part == judged == whole  # windows: the images are of one size


def write_chests(folder):
    """A table of three chests with a ball in each lung, two of them held out."""
    folder.mkdir()
    rows = []
    for n in range(3):
        sitk.WriteImage(chest(seed=n).to_sitk(), folder / f"chest_{n}.nrrd")
        for x, y, z in BALLS_RAS_MM:
            rows.append([f"chest_{n}.nrrd", x, y, z, BALL_MM, "RAS", "validation" if n < 2 else "train"])
    return write_table(folder / "nodules.csv", rows, ["frame", "split"])


def test_a_run_goes_from_a_table_to_a_model_and_its_numbers(tmp_path, capsys):
    table = write_chests(tmp_path / "chests")
    recipe = tmp_path / "balls.json"
    plain = a_recipe(steps=4, validate_every=4, warmup_steps=1, detection={"candidates": 3}).to_json()
    plain["preprocessing"] = [
        step | ({"pixdim": [4.0] * 3} if "pixdim" in step else {}) for step in plain["preprocessing"]
    ]
    recipe.write_text(json.dumps(plain))
    run, model = tmp_path / "run", tmp_path / "model"
    assert main(["check", str(table), "--recipe", str(recipe), "-o", str(tmp_path / "check.json")]) == 0
    assert "3 cases: 0 errors" in capsys.readouterr().out
    assert main(["plan", str(table), "-o", str(run), "--recipe", str(recipe)]) == 0
    assert np.array(json.loads((run / "recipe.json").read_text())["detection"]["anchors"]).shape == (2, 2, 3)
    assert main(["run", str(run), "--device", "cpu"]) == 0
    fold = run / "fold_0"
    with (fold / "curves.csv").open() as curves:
        rows = list(csv.DictReader(curves))
    assert {"cpm", "sensitivity at 1", "loss"} <= rows[-1].keys()
    assert main(["export", str(run), "-o", str(model)]) == 0
    told = capsys.readouterr().out
    assert "all nodules: CPM" in told
    assert "sensitivity at 1 false positive per image" in told
    made = DetectionModel.of(ModelPackage.read(model))
    assert made.window == (32, 32, 32)
    assert made.threshold == plain["inference"]["threshold"]
    assert as_levels(made.anchors) == Recipe.read(fold / "recipe.json").detection.anchors
    truths = read_findings(fold / "validation" / "plain" / "annotations.csv")
    np.testing.assert_allclose(truths.center_mm[0], BALLS_RAS_MM[0] * np.array([-1, -1, 1]), atol=1e-4)
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "| CPM | sensitivity at 1 false positive per image |" in card
    assert "Demonstration, trained on inserted nodules" in card
    assert main(["evaluate", str(run)]) == 0
    assert json.loads((run / "out_of_fold.json").read_text())["counts"]["nodules"] == 4
    assert (
        main_of_cnnseg(
            ["detect", str(table.parent / "chest_2.nrrd"), "-o", str(tmp_path / "out"), "--model", str(model)]
        )
        == 0
    )
    assert (tmp_path / "out" / "chest_2.findings.csv").exists()
