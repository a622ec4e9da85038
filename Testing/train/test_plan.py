"""Recipes that follow from the data and the budget."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_plans import cpu_budget, fingerprint, gpu_budget

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.preprocess import INTENSITY_TRANSFORMS
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.cases import TEST, Description
from SlicerCNNSegTrainLib.engine.data.colors import label_color
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.engine.data.reading import Reading, read_cases
from SlicerCNNSegTrainLib.engine.planning.fingerprint import StructureFacts, take_fingerprint
from SlicerCNNSegTrainLib.engine.planning.plan import make_plan, plan_data
from SlicerCNNSegTrainLib.engine.planning.wishes import Wishes
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.training.samples import Sampler

SIDES = ("Left kidney", "Right kidney", "Spleen")


def plan(data=None, budget=None, wishes=None, **about):
    return make_plan(data or fingerprint(), Description(about=about), budget or cpu_budget(), wishes, name="Some data")


def why(planned, field):
    return next(reason.why for reason in planned.reasons if reason.field == field)


@pytest.fixture(scope="module")
def read_boxes(boxes):
    data = read_data(boxes)
    return data, read_cases(data.cases, NoProgress())


def test_a_plan_of_read_cases_is_a_recipe_whose_network_takes_its_batches(read_boxes):
    data, reading = read_boxes
    planned = plan_data(data, reading, cpu_budget(1))
    recipe = Recipe.from_json(json.loads(json.dumps(planned.recipe)))
    assert recipe.label_values == (3,)
    assert recipe.minutes == 1
    samples = list(read_cases(data.cases[:3], NoProgress(), recipe).samples.values())
    batch = Sampler(samples, recipe).batch(0)
    assert batch["image"].shape == (recipe.batch_size, 1, *recipe.patch_size)
    output = build_network(recipe.network)(batch["image"])
    assert output.shape[-4:] == (2, *recipe.patch_size)


def test_the_fingerprint_holds_what_was_measured(read_boxes):
    data, reading = read_boxes
    found = take_fingerprint(data, reading)
    assert found.cases == found.patients == 10
    assert found.sizes == ((18, 16, 14),) * 10
    assert found.spacings_mm == ((1, 1, 1.5),) * 10
    (box,) = found.structures
    assert (box.value, box.name, box.cases, box.volume_mm3) == (3, "label 3", 10, 6 * 7 * 7 * 1.5)
    assert box.thickness_mm == (7, 7, 9)
    assert box.share == found.foreground_share == pytest.approx(6 * 7 * 7 / (18 * 16 * 14))
    (channel,) = found.channels
    assert channel.mean == pytest.approx(3, abs=0.05)  # of the box, not of the noise around it
    assert channel.sd == pytest.approx(0.3, abs=0.02)
    assert (channel.modality, channel.hounsfield) == ("", False)
    assert found.ram_bytes((1, 1, 1.5)) == 10 * 18 * 16 * 14 * 5
    assert found.voxels_at((2, 0, 3)).tolist() == [[9, 16, 7]] * 10


def test_test_cases_are_not_planned_with(read_boxes):
    data, reading = read_boxes
    kept = dict(reading.facts)
    for case_id in list(kept)[:4]:
        kept[case_id] = replace(kept[case_id], case=replace(kept[case_id].case, split=TEST))
    assert take_fingerprint(data, Reading(facts=kept)).cases == 6


def test_what_no_case_holds_is_left_out_and_what_is_ignored_is_no_structure(read_boxes):
    data, reading = read_boxes
    labels = {0: "background", 1: "Never drawn", 3: "Box"}
    named = replace(data, description=Description(channels=("CT",), labels=labels))
    planned = plan_data(named, reading, cpu_budget(1))
    assert [label["name"] for label in planned.recipe["model"]["labels"]] == ["Box"]
    assert "no case holds Never drawn" in planned.text()
    facts = {
        case_id: replace(one, voxels={**one.voxels, 9: 5}, chords_mm={**one.chords_mm, 9: np.ones(3)})
        for case_id, one in reading.facts.items()
    }
    ignoring = replace(named, description=replace(named.description, labels=labels | {9: "ignore"}))
    recipe = plan_data(ignoring, Reading(facts=facts), cpu_budget(1)).recipe
    assert recipe["ignore_value"] == 9
    assert [label["value"] for label in recipe["model"]["labels"]] == [3]
    nothing = replace(named, description=Description(labels={1: "Never drawn"}))
    with pytest.raises(SettingsError, match="got 10 readable ones with none of Never drawn; see 'cnnseg-train check'"):
        take_fingerprint(nothing, reading)


def test_ct_is_clipped_and_scaled_by_all_labelled_voxels():
    recipe = plan(fingerprint(channels=(("CT", "CT"),))).recipe
    arguments = {key: value for key, value in recipe["preprocessing"][-1].items() if key not in ("_target_", "keys")}
    image = torch.linspace(-1000, 2000, 301)[None, None, None]
    scaled = INTENSITY_TRANSFORMS["ScaleIntensityRanged"](**arguments)(image)
    np.testing.assert_allclose(scaled, (image.clip(-100, 300) - 50) / 80, atol=1e-5)


def test_mr_is_scaled_by_itself_and_without_its_empty_surroundings_where_these_are_large():
    step = plan().recipe["preprocessing"][-1]
    assert step == {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True}
    assert plan(fingerprint(filled=0.6)).recipe["preprocessing"][-1]["nonzero"] is True
    mixed = plan(fingerprint(channels=(("CT", "CT"), ("PET", "PT")))).recipe["preprocessing"][-1]
    assert mixed["channel_wise"] is True
    two = plan(fingerprint(channels=(("a", "CT"), ("b", "CT")))).recipe["preprocessing"][-1]
    assert (two["subtrahend"], two["divisor"]) == ([50, 50], [80, 80])


def test_sides_change_places_in_flips_and_rule_out_averaging_over_mirrorings():
    both = plan(fingerprint(names=SIDES)).recipe
    assert (both["mirrored"], both["augmentation"]["flip_rl"]) == ([[1, 2]], 0.5)
    assert both["inference"]["mirror_axes"] == []
    one = plan(fingerprint(names=SIDES[1:])).recipe
    assert (one["mirrored"], one["augmentation"]["flip_rl"], one["inference"]["mirror_axes"]) == ([], 0, [])
    none = plan(fingerprint(names=("Liver",))).recipe
    assert (none["mirrored"], none["augmentation"]["flip_rl"], none["inference"]["mirror_axes"]) == ([], 0.5, [0])


def test_augmentation_suits_modality_and_spacing():
    mr, ct = plan().recipe["augmentation"], plan(fingerprint(channels=(("CT", "CT"),))).recipe["augmentation"]
    assert mr["bias_field"] > 0 == ct["bias_field"]
    assert ct["brightness"] < mr["brightness"]
    thick = plan(fingerprint((60, 60, 20), (1.0, 1.0, 4.0))).recipe["augmentation"]
    assert thick["rotation"] == 0 < mr["rotation"]


@pytest.mark.parametrize(
    ("size", "axcodes", "spacing"),
    [((60, 70, 1), "RAS", [1, 2, 0]), ((60, 1, 80), "RSA", [1, 3, 0]), ((1, 70, 80), "ASR", [2, 3, 0])],
)
def test_single_slices_lie_across_the_last_axis(size, axcodes, spacing):
    recipe = plan(fingerprint(size, (1.0, 2.0, 3.0))).recipe
    assert recipe["preprocessing"][2]["axcodes"] == axcodes
    assert recipe["preprocessing"][3]["pixdim"] == spacing
    assert recipe["patch_size"][2] == 1
    assert recipe["network"]["spatial_dims"] == 2
    assert Recipe.from_json(recipe).flat
    assert (recipe["augmentation"]["flip_rl"] > 0) == (axcodes[0] == "R")


def test_small_structures_are_shown_more_often():
    shares = [plan(fingerprint(foreground_share=share)).recipe["foreground_share"] for share in (0.1, 0.005, 1e-4)]
    assert shares == [0.33, 0.5, 0.67]


def test_only_an_extreme_imbalance_weighs_voxels():
    def of(volume):
        large, small = (StructureFacts(n, f"s{n}", 100, v, 0.1, (9.0,) * 3) for n, v in ((1, 1e6), (2, volume)))
        return plan(fingerprint(structures=(large, small))).recipe["class_weights"]

    assert (of(2e3), of(5e2)) == ("", "balanced")


def test_absent_structures_are_background_unless_a_person_says_otherwise():
    rare = (StructureFacts(1, "Larynx", 40, 5e3, 0.1, (9.0,) * 3),)
    planned = plan(fingerprint(structures=rare))
    assert planned.recipe["absent_means_not_contoured"] is False
    assert "Larynx (40 of 100); where it is absent it is learned as background" in why(
        planned, "absent_means_not_contoured"
    )
    asked = plan(fingerprint(structures=rare), wishes=Wishes(absent_means_not_contoured=True))
    assert asked.recipe["absent_means_not_contoured"] is True
    assert "it was not contoured" in why(asked, "absent_means_not_contoured")


def test_validations_take_a_tenth_of_the_time_at_most():
    large = fingerprint((300, 300, 300), (1.5, 1.5, 1.5), cases=60, thickness_mm=(3.0, 3.0, 3.0))
    planned = plan(large, gpu_budget(60))
    text = why(planned, "validate_every")
    seconds = float(text.split("about ")[1].split(" s")[0])
    validations = planned.recipe["steps"] // planned.recipe["validate_every"]
    assert validations * seconds <= 0.1 * 3600
    assert plan().recipe["inference"]["overlap"] == 0.5


def test_steps_without_minutes_are_a_number_and_with_minutes_follow_the_clock():
    fixed, timed = plan(budget=cpu_budget(0)).recipe, plan(budget=cpu_budget(60)).recipe
    assert (fixed["minutes"], timed["minutes"]) == (0, 60)
    assert fixed["steps"] == timed["steps"] > 1000
    wanted = plan(budget=cpu_budget(0, steps=777)).recipe
    assert (wanted["steps"], wanted["minutes"]) == (777, 0)
    assert wanted["warmup_steps"] == 777 // 15
    assert wanted["ema_decay"] == pytest.approx(1 - 6 / 777, abs=1e-4)


@pytest.mark.parametrize(("patients", "folds"), [(100, 5), (9, 4), (5, 2), (3, 2)])
def test_few_patients_make_fewer_folds(patients, folds):
    assert plan(fingerprint(cases=patients)).recipe["folds"] == folds


def test_the_model_says_what_is_known_and_what_is_not():
    planned = plan(fingerprint(names=SIDES), name="My Data!", licence="CC BY 4.0", reference="A Hospital")
    model = planned.recipe["model"]
    assert model["id"] == "my-data"
    assert model["data_source"] == "My Data!, A Hospital, CC BY 4.0"
    assert model["licence"] == "unknown: set it"
    assert "36-36 x 50-50 x 35-35 mm" in model["limits"][0]
    assert [Label.from_json(label).name for label in model["labels"]] == list(SIDES)
    assert plan().recipe["model"]["id"] == "some-data"


def test_colours_of_labels_differ():
    colors = np.array([label_color(index) for index in range(40)])
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + np.eye(40)
    assert apart.min() > 0.04
    assert apart[:8, :8].min() > 0.2
    assert colors.min() >= 0
    assert colors.max() <= 1


def test_the_same_data_and_budget_give_the_same_plan():
    first, second = plan(fingerprint(names=SIDES)), plan(fingerprint(names=SIDES))
    assert first.recipe == second.recipe
    assert json.loads(json.dumps(first.to_json())) == json.loads(json.dumps(second.to_json()))
    assert first.to_json()["budget"]["throughput_flops"] == 2e11


def test_the_table_says_what_and_why():
    text = plan().text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("data ")
    for field in ("patch_size", "batch_size", "preprocessing, spacing", "augmentation.flip_rl", "minutes", "folds"):
        assert any(line.startswith(field) for line in lines)
    assert "40 x 56 x 40" in text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"minutes": -1}, "Expected minutes of 0 or more, got -1"),
        ({"steps": -5}, "Expected steps of 0 or more, got -5"),
        ({"memory_gib": 0}, "Expected memory_gib above 0, got 0"),
        ({"throughput": 0}, "Expected throughput_flops above 0, got 0"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        cpu_budget(**wrong)


def test_real_data_gets_the_windows_of_the_shipped_recipe(data_folder):
    data = read_data(data_folder / "hippocampus")
    few = replace(data, cases=data.cases[:24])
    planned = plan_data(few, read_cases(few.cases, NoProgress()), cpu_budget(50))
    shipped = Recipe.read("hippocampus-mr")
    assert tuple(planned.recipe["patch_size"]) == shipped.patch_size
    assert planned.recipe["preprocessing"][3] == shipped.preprocessing[3]
    assert planned.recipe["network"]["strides"] == shipped.network["strides"]
