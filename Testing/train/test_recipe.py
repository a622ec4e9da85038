"""Recipes as files."""

import json
from dataclasses import replace

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegTrainLib.engine.recipe import RECIPES, Recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda path: path.stem)
def test_every_shipped_recipe_reads_and_survives_the_way_to_json_and_back(path):
    recipe = Recipe.read(path.stem)
    assert recipe.model["id"] == path.stem
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == replace(
        recipe, augmentation=dict(recipe.augmentation)
    )


def test_faults_are_named(tmp_path, recipe):
    with pytest.raises(SettingsError, match=r"Unknown in the recipe: step_count; expected augmentation, batch_size"):
        Recipe.from_json({**recipe.to_json(), "step_count": 3})
    with pytest.raises(SettingsError, match=r"The recipe is incomplete: .*missing 1 required"):
        Recipe.from_json({k: v for k, v in recipe.to_json().items() if k != "steps"})
    with pytest.raises(SettingsError, match=r"Expected steps above 0, got 0"):
        replace(recipe, steps=0)
    with pytest.raises(SettingsError, match=r"Expected precision 'bf16' or 'fp32', got 'fp8'"):
        replace(recipe, precision="fp8")
    with pytest.raises(FileReadError, match=r"No recipe 'nothing': expected one of hippocampus-mr"):
        Recipe.read("nothing")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(FileReadError, match=r"bad.json is no valid JSON"):
        Recipe.read(tmp_path / "bad.json")


def test_what_is_told_about_a_model_does_not_decide_its_weights(recipe):
    told = replace(recipe, model={**recipe.model, "title": "Other"}, inference={**recipe.inference, "overlap": 0.7})
    assert told.decisive() == recipe.decisive()
    assert replace(recipe, seed=1).decisive() != recipe.decisive()
