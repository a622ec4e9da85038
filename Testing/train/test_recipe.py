"""Recipes as files."""

import json
from dataclasses import replace

import pytest
from pydicom.sr._concepts_dict import concepts

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegTrainLib.engine.recipe import RECIPES, Recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda path: path.stem)
def test_every_shipped_recipe_reads_and_survives_the_way_to_json_and_back(path):
    recipe = Recipe.read(path.stem)
    assert recipe.model["id"] == path.stem
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == replace(
        recipe, augmentation=dict(recipe.augmentation), loss=dict(recipe.loss)
    )


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.json")), ids=lambda path: path.stem)
def test_the_codes_of_shipped_recipes_are_dicoms(path):
    known = {(code, meaning) for codes in concepts["SCT"].values() for code, (meaning, _) in codes.items()}
    labels = Recipe.read(path.stem).model.get("labels", ())
    said = [label[part] for label in labels for part in ("type", "modifier") if part in label]
    assert {(code, meaning) for _, code, meaning in said} <= known


def test_faults_are_named(tmp_path, recipe):
    with pytest.raises(
        SettingsError, match=r"Unknown in the recipe: step_count; expected absent_means_not_contoured, augm"
    ):
        Recipe.from_json({**recipe.to_json(), "step_count": 3})
    with pytest.raises(SettingsError, match=r"The recipe is incomplete: .*missing 1 required"):
        Recipe.from_json({k: v for k, v in recipe.to_json().items() if k != "steps"})
    with pytest.raises(SettingsError, match=r"Expected steps above 0, got 0"):
        replace(recipe, steps=0)
    with pytest.raises(SettingsError, match=r"Expected minutes of 0 or more, got -1"):
        replace(recipe, minutes=-1)
    with pytest.raises(SettingsError, match=r"Expected precision of 'auto', 'bf16', 'fp16', 'fp32', got 'fp8'"):
        replace(recipe, precision="fp8")
    with pytest.raises(SettingsError, match=r"Expected label values of the recipe in mirrored, got 7"):
        replace(recipe, mirrored=[(3, 7)])
    with pytest.raises(SettingsError, match=r"The label value 3 is ignore_value and a structure"):
        replace(recipe, ignore_value=3)
    with pytest.raises(SettingsError, match=r"Expected start.model, a model to start from"):
        Recipe.from_json({**recipe.to_json(), "start": {"freeze": "encoder"}})
    with pytest.raises(SettingsError, match=r"Expected start.freeze of '', 'encoder', got 'all'"):
        Recipe.from_json({**recipe.to_json(), "start": {"model": "m", "freeze": "all"}})
    with pytest.raises(SettingsError, match=r"Expected start.encoder_rate above 0 and up to 1, got 2"):
        Recipe.from_json({**recipe.to_json(), "start": {"model": "m", "encoder_rate": 2}})
    with pytest.raises(SettingsError, match=r"Expected start.adapter_rank of 0 or more, got -1"):
        Recipe.from_json({**recipe.to_json(), "start": {"model": "m", "adapter_rank": -1}})
    with pytest.raises(SettingsError, match=r"Expected model, freeze, .*, adapter_rank, prune in .* got rank"):
        Recipe.from_json({**recipe.to_json(), "start": {"rank": 4}})
    with pytest.raises(FileReadError, match=r"No recipe 'nothing': expected one of head-neck-oar-ct, hippocampus-mr"):
        Recipe.read("nothing")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(FileReadError, match=r"bad.json is no valid JSON"):
        Recipe.read(tmp_path / "bad.json")


def test_what_is_told_about_a_model_does_not_decide_its_weights(recipe):
    told = replace(recipe, model={**recipe.model, "title": "Other"}, inference={**recipe.inference, "overlap": 0.7})
    assert told.decisive() == recipe.decisive()
    assert replace(recipe, seed=1).decisive() != recipe.decisive()
