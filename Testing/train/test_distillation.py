"""Learning from a trained network: the loss's term, whose weights the teacher has, and that it stays the same."""

import json
import math
from dataclasses import replace

import pytest
import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.recipe_parts import Teacher
from SlicerCNNSegTrainLib.engine.results.card import _origins
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder, RunFolder
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint, save_checkpoint
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.losses import IGNORED, SegmentationLoss
from SlicerCNNSegTrainLib.engine.transfer.teacher import find_teacher, with_teacher
from SlicerCNNSegTrainLib.engine.workflow import read_checked, train_fold

CPU = Hardware(torch.device("cpu"), "fp32")
CLASSES, TEMPERATURE = 3, 2.5
TERMS = {"distillation": 1.0}
ALL = torch.ones(2, CLASSES, dtype=torch.bool)


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    network, teacher = (3 * torch.randn(2, CLASSES, 4, 3, 2, generator=generator) for _ in range(2))
    return network.double().requires_grad_(True), teacher.double()


@pytest.fixture
def label():
    return torch.randint(0, CLASSES, (2, 1, 4, 3, 2), generator=torch.Generator().manual_seed(1))


def loss_of(network, teacher, label, contoured=ALL, temperature=TEMPERATURE):
    return SegmentationLoss(TERMS, torch.ones(CLASSES), temperature=temperature)(network, label, contoured, teacher)


def straight(network, teacher, temperature):
    """Number by number: T^2 sum p log(p / q), averaged over voxels; and by each score T (q - p) over the voxels."""
    space = [(b, *at) for b in range(2) for at in torch.cartesian_prod(*map(torch.arange, network.shape[2:])).tolist()]
    total, gradient = 0.0, torch.zeros_like(network)
    for b, *at in space:
        p, q = ([math.exp(float(one[(b, c, *at)]) / temperature) for c in range(CLASSES)] for one in (teacher, network))
        p, q = ([value / sum(one) for value in one] for one in (p, q))
        total += temperature**2 * sum(a * math.log(a / z) for a, z in zip(p, q, strict=True)) / len(space)
        for c in range(CLASSES):
            gradient[(b, c, *at)] = temperature * (q[c] - p[c]) / len(space)
    return total, gradient


@pytest.mark.parametrize("temperature", [1.0, 2.5, 8.0])
def test_the_term_and_its_gradient_are_those_of_the_formula(scores, label, temperature):
    network, teacher = scores
    loss = loss_of(network, teacher, label, temperature=temperature)
    (gradient,) = torch.autograd.grad(loss, network)
    value, expected = straight(network.detach(), teacher, temperature)
    assert value > 0.1
    assert loss.item() == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)


def test_who_says_what_the_teacher_says_has_nothing_to_learn(scores, label):
    teacher = scores[1].clone().requires_grad_(True)
    loss = loss_of(teacher, scores[1] + 7, label)  # scores count up to a constant
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.autograd.grad(loss, teacher)[0].abs().max() < 1e-6


def test_all_levels_learn_it_and_what_nobody_labelled_does_not_count(scores, label):
    network, teacher = scores
    other = network.detach().flip(0)
    both = loss_of(torch.stack([network, other], dim=1), teacher, label)
    fine, coarse = loss_of(network, teacher, label), loss_of(other, teacher, label)
    assert both.item() == pytest.approx((2 * fine + coarse).item() / 3, rel=1e-5)
    cropped = loss_of(network[:, :, :2], teacher[:, :, :2], label[:, :, :2]).item()
    label[:, :, 2:] = IGNORED
    assert loss_of(network, teacher, label).item() == pytest.approx(cropped, rel=1e-5)


def test_what_was_not_contoured_is_background_for_both(scores, label):
    network, teacher = scores
    contoured = torch.tensor([[True, True, False]] * 2)
    merged = [torch.cat([one[:, [0, 2]].logsumexp(1, keepdim=True), one[:, 1:2]], 1) for one in (network, teacher)]
    loss = SegmentationLoss(TERMS, torch.ones(2), temperature=TEMPERATURE)
    expected = loss(merged[0], label.clamp(max=1), ALL[:, :2], merged[1])
    assert loss_of(network, teacher, label.clamp(max=1), contoured).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_term_needs_a_teacher(scores, label, recipe):
    with pytest.raises(SettingsError, match="Expected a teacher for the loss distillation"):
        loss_of(scores[0], None, label)
    with pytest.raises(SettingsError, match=r"Expected a weight of distillation .* got 1.0 and ''"):
        replace(recipe, loss=TERMS)
    with pytest.raises(SettingsError, match=r"Expected a weight of distillation .* got 0 and 'hippocampus-mr'"):
        replace(recipe, teacher=Teacher("hippocampus-mr"))
    with pytest.raises(SettingsError, match=r"Expected teacher.temperature above 0, got 0"):
        Teacher("hippocampus-mr", temperature=0)


@pytest.fixture
def teacher(tmp_path, recipe):
    """The folder of a trained run."""
    return write_run(tmp_path / "teacher", recipe)


def write_run(folder, recipe, seed=1):
    torch.manual_seed(seed)
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "fold_0" / "recipe.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    save_checkpoint(folder / "fold_0" / "best.pt", {"average": build_network(recipe.network).state_dict()})
    return folder


def test_a_teacher_is_known_by_its_checksum(teacher, recipe):
    taught = with_teacher(recipe, Teacher(str(teacher)), 0.5)
    assert len(taught.teacher.sha256) == 64
    assert taught.loss == {**recipe.loss, "distillation": 0.5}
    found, network = find_teacher(taught)
    assert found == taught
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    weights = load_checkpoint(teacher / "fold_0" / "best.pt")["average"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    by_hand = replace(taught, teacher=replace(taught.teacher, sha256=""))
    assert find_teacher(by_hand)[0] == taught
    write_run(teacher, recipe, seed=2)
    with pytest.raises(
        SettingsError, match=r"Expected a teacher .* with sha256 .*, by the recipe, got .* put the model"
    ):
        find_teacher(taught)


OTHERS = {
    "labels": lambda recipe: replace(
        recipe, model={**recipe.model, "labels": [{**recipe.model["labels"][0], "value": 4}]}
    ),
    "channels": lambda recipe: replace(recipe, model={**recipe.model, "channels": [{"name": "T2", "modality": "MR"}]}),
    "preprocessing": lambda recipe: replace(recipe, preprocessing=recipe.preprocessing[:-1]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_teacher_of_something_else_is_refused(tmp_path, recipe, what):
    other = write_run(tmp_path / "other", OTHERS[what](recipe))
    with pytest.raises(SettingsError, match=f"Expected a model with the recipe's {what} to learn from, .* but other"):
        with_teacher(recipe, Teacher(str(other)), 1.0)


def command(*words):
    return main([str(word) for word in words])


def test_a_pruned_run_with_a_teacher_goes_on_as_if_never_stopped(boxes, teacher, tmp_path, recipe_file, capsys):
    options = ("--recipe", recipe_file, "--from", teacher, "--keep", 0.5, "--teacher", teacher, "--steps", 6)
    assert command("plan", boxes, "-o", tmp_path / "run", *options) == 0
    run = RunFolder(tmp_path / "run")
    recipe, larger = run.read_recipe(), Recipe.read(recipe_file)
    data = read_checked(run, recipe, [0], NoProgress())
    whole, parts = (FoldFolder(tmp_path / name / "fold_0") for name in ("whole", "run"))
    train_fold(whole, recipe, data, CPU, NoProgress())
    train_fold(parts, recipe, data, CPU, RecordingProgress(cancel_at=0.5))
    assert load_checkpoint(parts.last)["step"] == 3
    train_fold(parts, recipe, data, CPU, NoProgress(), resume=True)
    expected, found = load_checkpoint(whole.last), load_checkpoint(parts.last)
    assert found["step"] == 6
    counts = [sum(one.numel() for one in build_network(each.network).parameters()) for each in (recipe, larger)]
    whose = f"the model teacher (sha256 {recipe.teacher.sha256[:12]}"
    assert _origins(recipe, parts) == (
        f" It started from {whose}, from fold_0/best.pt, pruned to {counts[0] / counts[1]:.1%} of its weights). "
        f"It learned from the labels and from {whose}): distillation, T = 2."
    )
    for part in ("network", "average"):
        assert all(torch.equal(expected[part][name], found[part][name]) for name in expected[part])
    assert Recipe.read(parts.recipe).teacher == recipe.teacher
    write_run(teacher, larger, seed=9)
    assert command("run", run.path, "--resume") == 2
    assert "put the model back, or plan another run with this one" in capsys.readouterr().err


def test_options_that_make_no_sense_are_told(boxes, teacher, tmp_path, recipe_file, capsys):
    plan = ("plan", boxes, "-o", tmp_path / "run", "--recipe", recipe_file)
    faults = {
        ("--keep", 0.5): "Expected a model to start from (--from)",
        ("--teacher", "nobody"): "No model 'nobody'",
        ("--teacher", teacher, "--teacher-weight", 0): "Expected a weight of the teacher above 0, got 0",
        (
            "--teacher",
            teacher,
            "--recipe",
            "mednist-kind",
        ): "Expected the recipe of a segmentation to learn from a model",
        ("--teacher", teacher, "--temperature", -1): "Expected teacher.temperature above 0, got -1.0",
    }
    for words, text in faults.items():
        assert command(*plan, *words) != 0
        assert text in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit):
        command("plan", "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--keep SHARE start with this share of each level's channels" in shown
    assert "--teacher MODEL learn what this model says, too" in shown
