"""Learning to classify: loss and sampling against oracles, and a run from a table to a model that works."""

import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from score_time import judged_and_done
from sklearn.metrics import roc_auc_score
from tiny_images import CLASSES, recipe_of, write_images
from torch.nn import functional

from SlicerCNNSegLib.cli.main import main as main_of_cnnseg
from SlicerCNNSegLib.engine.classification.model import ClassificationModel
from SlicerCNNSegLib.engine.errors import FileReadError, InputError, SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.classifying import read_checked_images
from SlicerCNNSegTrainLib.engine.data.classes import read_classified
from SlicerCNNSegTrainLib.engine.data.images import ImageSample, target_of
from SlicerCNNSegTrainLib.engine.recipe import Classes, Recipe
from SlicerCNNSegTrainLib.engine.results.temperature import fit_temperature, scaled
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training.class_loss import ClassLoss
from SlicerCNNSegTrainLib.engine.training.classification import ClassificationTask
from SlicerCNNSegTrainLib.engine.workflow import begin_run

RANDOM = torch.Generator().manual_seed(0)
SCORES = torch.randn(6, 3, generator=RANDOM)
INDEX = torch.tensor([0, 1, 2, 0, 0, 1])
HARD = functional.one_hot(INDEX, 3).float()
ONES = torch.ones(3)


def test_cross_entropy_is_torchs():
    weights = torch.tensor([1.0, 2.0, 0.5])
    loss = ClassLoss({"cross_entropy": 1.0}, weights)(SCORES, HARD)
    assert loss.item() == pytest.approx(functional.cross_entropy(SCORES, INDEX, weight=weights).item(), abs=1e-6)
    smoothed = ClassLoss({"cross_entropy": 1.0}, ONES, smoothing=0.2)(SCORES, HARD)
    wanted = functional.cross_entropy(SCORES, INDEX, label_smoothing=0.2)
    assert smoothed.item() == pytest.approx(wanted.item(), abs=1e-6)


def test_labels_that_do_not_exclude_each_other_have_binary_cross_entropy():
    target = torch.tensor([[1.0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    loss = ClassLoss({"cross_entropy": 2.0}, ONES, multi_label=True)(SCORES, target)
    wanted = 2 * functional.binary_cross_entropy_with_logits(SCORES, target)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-6)


def test_focal_loss_is_cross_entropy_with_what_is_right_counting_little():
    loss = ClassLoss({"focal": 1.0}, ONES)(SCORES, HARD)
    surprise = functional.cross_entropy(SCORES, INDEX, reduction="none")
    assert loss.item() == pytest.approx(((1 - torch.exp(-surprise)) ** 2 * surprise).mean().item(), abs=1e-6)


def test_losses_that_make_no_sense_are_told():
    with pytest.raises(SettingsError, match=r"Unknown loss of a classification: dice; expected cross_entropy, focal"):
        ClassLoss({"dice": 1.0}, ONES)
    with pytest.raises(SettingsError, match=r"Expected weights of the loss's terms above 0"):
        ClassLoss({"focal": 0.0}, ONES)


def samples_of(counts):
    """Constant images whose value is their number; so many of each class."""
    classes = np.repeat(np.arange(len(counts)), counts)
    target = np.eye(len(counts), dtype=np.float32)
    return [
        ImageSample(str(n), torch.full((1, 16, 16), float(n)), torch.from_numpy(target[c]))
        for n, c in enumerate(classes)
    ]


def task_of(samples, **more):
    recipe = Recipe.from_json(recipe_of(augmentation={}, **more))
    return ClassificationTask(recipe, samples, samples)


def test_an_epoch_goes_once_through_all_images_and_a_step_is_always_the_same():
    task = task_of(samples_of([6, 12, 6]), batch_size=8)
    batches = [task.batch(step) for step in range(3)]
    seen = torch.cat([batch["image"][:, 0, 0, 0] for batch in batches])
    assert sorted(seen.tolist()) == list(range(24))
    again = task_of(samples_of([6, 12, 6]), batch_size=8).batch(2)
    torch.testing.assert_close(again["image"], batches[2]["image"])
    assert batches[0]["image"].shape == (8, 1, 16, 16)


def test_balanced_sampling_draws_each_class_as_often():
    task = task_of(samples_of([2, 40, 6]), batch_size=12, classes={"balanced_sampling": True})
    drawn = torch.cat([task.batch(step)["target"] for step in range(50)]).mean(0)
    np.testing.assert_allclose(drawn, [1 / 3] * 3, atol=0.06)


def test_mixup_mixes_images_and_targets_alike():
    task = task_of(samples_of([4, 4, 4]), classes={"mixup": 1.0})
    plain, mixed = task_of(samples_of([4, 4, 4])).batch(0), task.batch(0)
    np.testing.assert_allclose(mixed["target"].sum(1), 1, atol=1e-6)
    matrix = torch.linalg.lstsq(plain["target"].T @ plain["target"], plain["target"].T @ mixed["target"]).solution
    assert 0 < float((mixed["target"] > 1e-6).sum(1).float().mean() - 1) <= 1
    assert mixed["image"].mean().item() == pytest.approx(plain["image"].mean().item(), abs=1e-4)
    assert matrix.shape == (3, 3)


def test_the_time_of_a_validation_is_judged_by_a_part_of_it():
    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(256, 3)

        def forward(self, image):
            return self.layer(image.flatten(1))

    judged, part, whole = judged_and_done(task_of(samples_of([30, 30, 20])), Flat())
    assert (judged, part, whole) == (80, 32, 80)


def test_balanced_weights_are_of_the_rare_class():
    counts = samples_of([2, 8, 8])
    task = task_of(counts, class_weights="balanced")
    assert task._loss.class_weights[0] == pytest.approx(2 * float(task._loss.class_weights[1]))


def test_the_score_is_that_of_scikit_learn():
    samples = samples_of([5, 7, 6])
    random = torch.Generator().manual_seed(3)
    scores = torch.randn(18, 3, generator=random) + 1.5 * torch.stack([sample.target for sample in samples])

    class Known(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parameter = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image):
            return scores[image[:, 0, 0, 0].long()]

    found = task_of(samples).score(Known())
    truth = torch.stack([sample.target for sample in samples]).numpy()
    probabilities = scores.softmax(1).numpy()
    assert found["auc"] == pytest.approx(roc_auc_score(truth, probabilities, average="macro"), abs=1e-6)
    assert found["auc disk"] == pytest.approx(roc_auc_score(truth[:, 1], probabilities[:, 1]), abs=1e-6)
    assert found["accuracy"] == pytest.approx((probabilities.argmax(1) == truth.argmax(1)).mean())


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_temperature_is_found_again(multi_label):
    random = np.random.default_rng(0)
    scores = random.normal(0, 2, (4000, 3))
    honest = 1 / (1 + np.exp(-scores)) if multi_label else np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    if multi_label:
        truth = random.random(honest.shape) < honest
    else:
        truth = np.eye(3, dtype=bool)[[random.choice(3, p=row) for row in honest]]
    sure = scaled(honest, 0.5, multi_label=multi_label)
    temperature = fit_temperature(sure, truth, multi_label=multi_label)
    assert temperature == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(scaled(sure, 2, multi_label=multi_label), honest, atol=1e-6)


def test_without_a_wrong_case_there_is_no_temperature_to_find():
    truth = np.eye(3, dtype=bool)[[0, 1, 2, 1]]
    probabilities = np.where(truth, 0.8, 0.1)
    assert fit_temperature(probabilities, truth, multi_label=False) == 1


def test_recipes_that_make_no_sense_are_told():
    with pytest.raises(SettingsError, match=r"Expected patch_size \(16, 16, 1\), the preprocessing's size, got"):
        Recipe.from_json(recipe_of(patch_size=[8, 8, 1]))
    oblong = [{"_target_": "Resized", "keys": "image", "spatial_size": [16, 12]}]
    with pytest.raises(SettingsError, match=r"Expected a patch_size as wide as high for quarter_turns, got \(16, 12"):
        Recipe.from_json(recipe_of(preprocessing=oblong, patch_size=[16, 12, 1], augmentation={"quarter_turns": 0.5}))
    with pytest.raises(SettingsError, match=r"classes.label_smoothing from 0 to below 1, got 1"):
        Classes(label_smoothing=1)
    with pytest.raises(SettingsError, match=r"classes.mixup of 0 or more, got -1"):
        Classes(mixup=-1)
    with pytest.raises(SettingsError, match=r"Expected balanced_sampling, .* in the recipe's classes, got mix"):
        Recipe.from_json(recipe_of(classes={"mix": 1}))
    plain = recipe_of()
    plain["model"]["task"] = "regression"
    with pytest.raises(
        SettingsError, match=r"Expected model.task of 'segmentation', 'classification', 'detection', got 'regress"
    ):
        Recipe.from_json(plain)


@pytest.mark.parametrize(
    ("text", "multi_label", "error", "match"),
    [
        ("image,klass\na.png,x", False, InputError, r"lacks the column 'class'; expected 'image' or the channels grey"),
        ("image,class,age\na.png,x,3", False, InputError, r"has the unknown column 'age'"),
        ("image,class\na.png,z", False, InputError, r"t.csv, row 2: unknown class 'z'; the recipe's are x, y"),
        ("image,class\nb.png,x", False, FileReadError, r"there is no file .*b.png"),
        ("image,class\na.png,x\na.png,y", False, InputError, r"row 3: two rows are the case 'a'"),
        ("image,x,y\na.png,1,2", True, InputError, r"row 2: expected 0 or 1 in the column 'y', got '2'"),
        ("image,class,split\na.png,x,some", False, InputError, r"row 2: expected a split out of train"),
        ("image,class,share_x\na.png,x,1", False, InputError, r"lacks the column 'share_y'"),
        ("image,class,share_x,share_y\na.png,x,1,1", False, InputError, r"shares of 0 and more .* 1 in all, got 1, 1"),
        ("image,class,share_x,share_y\na.png,x,1,", False, InputError, r"1 in all, got 1, nothing"),
        ("image,class,share_x,share_y\na.png,x,.4,.6", False, InputError, r"the class is 'x', but more speaks for an"),
        ("image,class,share_x,share_y\na.png,,,", False, InputError, r"row 2: unknown class ''"),
        ("image,class,share_x,share_y,split\na.png,,.5,.5,test", False, InputError, r"expected a class, or the split"),
        ("image,x,y,share_x,share_y\na.png,1,0,1,0", True, InputError, r"has the unknown column 'share_x'"),
    ],
)
def test_tables_that_make_no_sense_are_told(tmp_path, text, multi_label, error, match):
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "a.png").touch()
    with pytest.raises(error, match=match):
        read_classified(tmp_path / "t.csv", ["grey"], ["x", "y"], multi_label=multi_label)


def test_shares_are_learned_and_classes_judged(tmp_path):
    header = "image,class,share_x,share_y\n"
    (tmp_path / "t.csv").write_text(header + "a.png,x,0.8,0.2\nb.png,,0.5,0.5\nc.png,y,,\n")
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    images = read_classified(tmp_path / "t.csv", ["grey"], ["x", "y"], multi_label=False)
    assert [one.classes for one in images] == [("x",), (), ("y",)]
    assert [one.is_only_trained for one in images] == [False, True, False]
    targets = [target_of(one, ["x", "y"]).tolist() for one in images]
    np.testing.assert_allclose(targets, [[0.8, 0.2], [0.5, 0.5], [0, 1]])


def test_what_most_speaks_for_is_the_truth_of_a_score():
    hard = samples_of([5, 7, 6])
    soft = [replace(sample, target=0.7 * sample.target + 0.1) for sample in hard]

    class Known(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 3)

        def forward(self, image):
            return self.layer(image.mean((2, 3)))

    network = Known()
    assert task_of(soft).score(network) == task_of(hard).score(network)
    drawn = task_of(soft, batch_size=18, classes={"balanced_sampling": True})
    targets = torch.cat([drawn.batch(step)["target"] for step in range(30)]).mean(0)
    np.testing.assert_allclose(targets, [1 / 3] * 3, atol=0.06)


def test_a_table_of_labels_that_do_not_exclude_each_other(tmp_path):
    (tmp_path / "t.csv").write_text("image,x,y,patient,split\na.png,1,1,p,train\nb.png,0,0,q,test")
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    first, second = read_classified(tmp_path / "t.csv", ["grey"], ["x", "y"], multi_label=True)
    assert (first.id, first.classes, first.patient, first.split) == ("a", ("x", "y"), "p", "train")
    assert (second.classes, second.split) == ((), "test")


def test_the_check_tells_what_would_spoil_a_training(tmp_path):
    table = write_images(tmp_path / "data", 12)
    folder = table.parent
    (folder / "image_001.png").write_bytes((folder / "image_000.png").read_bytes())
    (folder / "image_005.png").write_bytes(b"nothing")
    recipe = Recipe.from_json(recipe_of())
    run = RunFolder(tmp_path / "run")
    begin_run(run, table, recipe)
    report = read_checked_images(run, recipe, [0, 1, 2], NoProgress()).report
    kinds = Counter((finding.severity, finding.kind) for finding in report.findings)
    assert kinds == {("error", "unusable image"): 1, ("error", "two truths"): 1}
    with pytest.raises(InputError, match=r"The data check found: image_005: .*"):
        report.stop_at_errors()
    few = Recipe.from_json(recipe_of((*CLASSES, "cross")))
    missing = read_checked_images(run, few, [0], NoProgress()).report
    messages = [finding.message for finding in missing.findings if finding.kind == "missing class"]
    assert len(messages) == 2
    assert "fold 0: no training image is of cross" in messages[0]


def test_from_a_table_to_a_model_that_works(tmp_path, capsys):
    table = write_images(tmp_path / "data", 72)
    recipe = tmp_path / "recipe.json"
    averaged = {"mirror_axes": [0, 1], "quarter_turns": True, "always_averaged": True}
    recipe.write_text(json.dumps(recipe_of(inference=averaged)))
    place, model = tmp_path / "run", tmp_path / "model"
    assert main(["plan", str(table), "-o", str(place), "--recipe", str(recipe)]) == 0
    assert main(["run", str(place), "--folds", "0,1", "--device", "cpu"]) == 0
    assert main(["evaluate", str(place)]) == 0
    out = capsys.readouterr().out
    assert "Fold 0, all classes: AUC " in out
    fold = place / "fold_0"
    with (fold / "curves.csv").open() as stream:
        assert float(list(csv.DictReader(stream))[-1]["auc"]) > 0.95
    with (fold / "validation" / "plain" / "probabilities.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert Counter(row["truth"] for row in rows) == dict.fromkeys(CLASSES, 8)
    metadata = json.loads((fold / "model" / "configs" / "metadata.json").read_text())
    numbers = metadata["eval_metrics"]
    assert numbers["held_out"]["all classes"]["auc"]["mean"] > 0.95
    temperature = ClassificationModel.of(ModelPackage.read(fold / "model")).temperature
    assert temperature == numbers["temperature"]
    assert metadata["cnnseg"]["sha256"] == ModelPackage.read(fold / "model").sha256
    assert f"({temperature:.3f})" in (fold / "model" / "README.md").read_text()
    _model_gives_what_the_table_says(fold / "model", tmp_path / "data", rows)
    assert json.loads((place / "out_of_fold.json").read_text())["data"]["cases"] == 48
    assert main(["export", str(place), "-o", str(model)]) == 0
    both = ModelPackage.read(model)
    assert len(both.weights_files) == 2
    assert {name: both.inference["cnnseg"][name] for name in averaged} == averaged
    temperatures = [
        ClassificationModel.of(ModelPackage.read(place / f"fold_{n}" / "model")).temperature for n in (0, 1)
    ]
    wanted = np.exp(np.mean(np.log(temperatures)))
    assert ClassificationModel.of(both).temperature == pytest.approx(wanted, abs=1e-3)
    assert "| all classes |" in (model / "README.md").read_text()
    assert main_of_cnnseg(["models", "check", str(model)]) == 0
    assert "probabilities of the synthetic image" in capsys.readouterr().out
    _strangers_are_told(model, tmp_path / "data", rows)


def _strangers_are_told(model, folder, rows):
    """What was held out is familiar to both networks; a chessboard and a few pixels are not."""
    settings = ClassificationSettings(str(model))
    known = [read_volume(folder / f"{row['case']}.png") for row in rows]
    novelty = [run(settings, [image]).predictions[0].novelty for image in known]
    assert np.mean(np.array(novelty) < 1) > 0.9
    squares = 255.0 * (np.indices((16, 16)) // 2).sum(0) % 510
    chessboard = Volume(squares[None, None], known[0].ijk_to_ras)
    assert run(settings, [chessboard]).predictions[0].novelty > max(1, 2 * np.median(novelty))
    few = Volume(known[0].array[:, :, :5, :5], known[0].ijk_to_ras)
    assert any("a size of 5 x 5 pixels" in warning for warning in run(settings, [few]).record.warnings)


def _model_gives_what_the_table_says(model, folder, rows):
    row = rows[5]
    found = run(ClassificationSettings(str(model)), [read_volume(folder / f"{row['case']}.png")])
    wanted = [float(row[f"probability_{name}"]) for name in CLASSES]
    np.testing.assert_allclose(found.predictions[0].probabilities, wanted, atol=1e-4)


def test_test_images_are_looked_at_once(tmp_path, capsys):
    table = write_images(tmp_path / "data", 48, CLASSES[:2])
    lines = table.read_text().splitlines()
    splits = ["train", "validation", "test"]
    marked = [f"{lines[0]},split", *(f"{line},{splits[n // 2 % 3]}" for n, line in enumerate(lines[1:]))]
    table.write_text("\n".join(marked))
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(recipe_of(CLASSES[:2], steps=30)))
    run = tmp_path / "run"
    assert main(["plan", str(table), "-o", str(run), "--recipe", str(recipe)]) == 0
    assert main(["run", str(run), "--device", "cpu"]) == 0
    assert main(["evaluate", str(run), "--test"]) == 0
    assert json.loads((run / "test" / "plain" / "evaluation.json").read_text())["data"]["cases"] == 16
    assert main(["evaluate", str(run), "--test"]) != 0
    assert "evaluated already" in capsys.readouterr().err
