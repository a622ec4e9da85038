"""Runs that start from another model: what is loaded, what learns, what is stored, what is exported."""

import json
from dataclasses import replace

import pytest
import torch

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.recipe import Recipe, Start
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.transfer.start import start_network, trained_network


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def pretrained(boxes, tmp_path_factory):
    """A run that has learned to fill in the boxes' images."""
    return tmp_path_factory.mktemp("start") / "pretrained"


@pytest.fixture
def source(boxes, recipe_file, pretrained):
    if not pretrained.exists():
        assert run("pretrain", boxes, "-o", pretrained, "--recipe", recipe_file, "--steps", 40) == 0
    return pretrained


def test_pretraining_explains_more_and_more_and_is_resumed(boxes, recipe_file, source, capsys):
    curves = (source / "fold_0" / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert curves[0] == "step,loss,learning_rate,explained,l1,seconds"
    explained = [float(line.split(",")[3]) for line in curves[1:]]
    assert explained == sorted(explained)
    command = ("pretrain", boxes, "-o", source, "--recipe", recipe_file, "--steps", 40)
    assert run(*command) == 2
    assert "holds a run already; add --resume" in capsys.readouterr().err
    assert run(*command, "--resume") == 0
    assert f"Explains {explained[-1]:.3f} of the variance" in capsys.readouterr().out


def test_pretraining_says_what_it_needs(boxes, recipe_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("pretrain", tmp_path / "empty", "-o", tmp_path / "run", "--recipe", recipe_file) == 1
    assert "Expected images (.nii.gz or .nii) in" in capsys.readouterr().err
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.nii.gz").write_bytes((boxes / "imagesTr" / "box_00.nii.gz").read_bytes())
    assert run("pretrain", one, "-o", tmp_path / "run", "--recipe", recipe_file) == 2
    assert "Expected at least 2 images to pretrain on, got 1" in capsys.readouterr().err
    for channel in ("0000", "0001"):
        (one / f"b_{channel}.nii.gz").write_bytes((one / "a.nii.gz").read_bytes())
    assert run("pretrain", one, "-o", tmp_path / "run", "--recipe", recipe_file) == 1
    assert "Expected 1 channels of each case in" in capsys.readouterr().err


def test_a_run_starts_from_a_pretrained_one(boxes, recipe_file, source, tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert run("plan", boxes, "-o", folder.path, "--recipe", recipe_file, "--from", source, "--steps", 2) == 0
    learner = start_network(Recipe.read(folder.recipe))
    average = load_checkpoint(source / "fold_0" / "best.pt")["average"]
    network = learner.network.state_dict()
    loaded = [name for name in network if name in average and torch.equal(network[name], average[name])]
    assert "input_block.conv1.conv.weight" in loaded
    assert "output_block.conv.conv.weight" not in loaded  # two classes here, one channel there
    assert run("run", folder.path) == 0
    report = json.loads(folder.fold(0).start.read_text(encoding="utf-8"))
    assert report["source_id"] == "pretrained"


def test_adapters_are_stored_alone_and_exported_whole(boxes, recipe_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    base, model = tmp_path / "base", tmp_path / "models" / "box"
    assert run("auto", boxes, "-o", base, "--recipe", recipe_file, "--steps", 2) == 0
    command = ("--recipe", recipe_file, "--from", base, "--adapter-rank", 2, "--steps", 4)
    assert run("auto", boxes, "-o", model, *command) == 0
    folder = RunFolder(tmp_path / "models" / "box-run")
    state, recipe = load_checkpoint(folder.fold(0).best), Recipe.read(folder.recipe)
    whole = sum(parameter.numel() for parameter in start_network(Recipe.read(recipe_file)).network.parameters())
    assert sum(tensor.numel() for tensor in state["average"].values()) < 0.5 * whole
    adapted = start_network(recipe)
    adapted.restore(adapted.network, state, "average")
    image = torch.randn(1, 1, *recipe.patch_size)
    with torch.inference_mode():
        expected = adapted.network.eval()(image)
        found = trained_network(recipe, state).eval()(image)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert len(ModelPackage.read(model).weights_files) == 1
    assert run("run", folder.path, "--resume") == 0
    metadata = base / "configs" / "inference.json"
    metadata.write_text(metadata.read_text(encoding="utf-8") + "\n", encoding="utf-8")  # another checksum
    assert run("run", folder.path, "--resume") == 2
    assert "adapters were trained on weights with sha256" in capsys.readouterr().err


def test_the_shipped_models_adapters_are_a_tenth_of_it():
    recipe = replace(Recipe.read("hippocampus-mr"), start=Start("hippocampus-mr", adapter_rank=4))
    learner = start_network(recipe)
    stored = sum(tensor.numel() * tensor.element_size() for tensor in learner.stored(learner.network).values())
    assert stored < 0.1 * find_model("hippocampus-mr").size_bytes


def test_a_frozen_encoder_stays(boxes, recipe_file, source, tmp_path):
    folder = RunFolder(tmp_path / "run")
    command = ("--recipe", recipe_file, "--from", source, "--freeze-encoder", "--steps", 3)
    assert run("plan", boxes, "-o", folder.path, *command) == 0
    assert run("run", folder.path) == 0
    before, after = load_checkpoint(source / "fold_0" / "best.pt")["average"], load_checkpoint(folder.fold(0).last)
    assert torch.equal(before["input_block.conv1.conv.weight"], after["network"]["input_block.conv1.conv.weight"])
    up = "upsamples.0.conv_block.conv1.conv.weight"
    assert not torch.equal(before[up], after["network"][up])
