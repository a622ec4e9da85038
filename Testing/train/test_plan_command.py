"""``cnnseg-train plan`` without a recipe, and what is trained from it."""

import json

import pytest

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder


def run(*words):
    return main([str(word) for word in words])


def test_a_plan_says_what_it_chose_and_why_and_trains(boxes, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    folder, model = RunFolder(tmp_path / "run"), tmp_path / "models" / "boxes"
    command = ("auto", boxes, "-o", model, "--run", folder.path, "--steps", 2, "--memory", 1, "--device", "cpu")
    assert run(*command) == 0
    out = capsys.readouterr().out
    recipe, plan = Recipe.read(folder.recipe), json.loads(folder.plan.read_text(encoding="utf-8"))
    assert recipe.steps == 2
    assert recipe.label_values == (3,)
    assert plan["budget"]["steps"] == 2
    assert {reason["field"] for reason in plan["reasons"]} >= {"patch_size", "batch_size", "network"}
    assert all(reason["field"] in out for reason in plan["reasons"])
    package = find_model(str(model))
    assert package.labels[0].value == 3
    assert "licence" in package.licence.lower() or "unknown" in package.licence.lower()


def test_a_network_can_be_wished_for(boxes, tmp_path, capsys):
    command = ("plan", boxes, "-o", tmp_path / "run", "--steps", 5, "--memory", 1, "--device", "cpu")
    assert run(*command, "--network", "SegResNett") == 2
    assert "SegResNet" in capsys.readouterr().err
    assert run(*command, "--network", "segresnet") == 0
    assert Recipe.read(tmp_path / "run" / "recipe.json").network["_target_"] == "monai.networks.nets.SegResNet"


def test_pretraining_needs_a_recipe(boxes, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("pretrain", boxes, "-o", tmp_path / "run")
    assert "--recipe" in capsys.readouterr().err
