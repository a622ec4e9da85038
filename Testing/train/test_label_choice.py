"""Labels chosen by name: a subset, an order, several as one; from the files to what is learned, checked and judged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_cases import write_image
from tiny_plans import cpu_budget

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.labels import Code, Label
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.checking.check import check_data
from SlicerCNNSegTrainLib.engine.data.colors import label_color
from SlicerCNNSegTrainLib.engine.data.contents import label_names
from SlicerCNNSegTrainLib.engine.data.label_choice import choose_labels, relabel
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.planning.plan import plan_data
from SlicerCNNSegTrainLib.engine.planning.wishes import Wishes
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.results.evaluate import what_was_labelled

NAMES = {1: "Liver", 2: "Tumour", 3: "Cyst", 4: "Lung, left"}
SPLEEN_RED = Label(1, "Liver", (0.9, 0.1, 0.1), type=Code("SCT", "10200004", "Liver"))


@pytest.fixture(scope="module")
def abdomens(tmp_path_factory):
    """Six cases with four boxes; the last one's label holds the lung alone. dataset.json names them."""
    folder = tmp_path_factory.mktemp("abdomens")
    for number in range(6):
        image = np.random.default_rng(number).normal(0, 0.3, (16, 16, 16)).astype(np.float32)
        truth = np.zeros(image.shape, np.uint8)
        for value in (4,) if number == 5 else (1, 2, 3, 4):
            truth[3 * value : 3 * value + 3, 2 : 2 + 2 * value, 2:14] = value
        write_image(folder / "imagesTr" / f"case_{number}.nii.gz", image + 3 * truth)
        write_image(folder / "labelsTr" / f"case_{number}.nii.gz", truth)
    told = {"labels": {"background": 0} | {name: value for value, name in NAMES.items()}}
    told |= {"channel_names": {"0": "T1"}, "structures": [SPLEEN_RED.to_json()]}
    (folder / "dataset.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def planned(folder, *words):
    """The recipe, the plan's text and the reading of a choice."""
    data = read_data(folder)
    choice = choose_labels(words, label_names(data, NoProgress()))
    reading = read_cases(data.cases, NoProgress(), relabelled=choice.relabelled)
    plan = plan_data(data, reading, cpu_budget(1), Wishes(labels=choice))
    return Recipe.from_json(json.loads(json.dumps(plan.recipe))), plan.text()


def test_names_are_taken_as_they_stand_and_expressions_only_then():
    choice = choose_labels(["lung, left", "Lesion=cyst + Tumour"], NAMES)
    assert [(one.name, one.values) for one in choice.chosen] == [("Lung, left", (4,)), ("Lesion", (3, 2))]
    assert choice.left_out == {1: "Liver"}
    assert choice.relabelled == ((1, 0), (2, 3))
    assert choice.merged == {"Lesion": ("Cyst", "Tumour")}
    odd = choose_labels(["a=b+c"], {1: "a=b+c", 2: "b"})
    assert (odd.chosen[0].values, odd.relabelled) == ((1,), ((2, 0),))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["Spleen"], "Expected labels out of Liver, Tumour, Cyst, Lung, left, or NEW=NAME.* got 'Spleen'"),
        (["Lesion=Tumour+Spleen"], "got 'Spleen'"),
        (["=Tumour"], "got '=Tumour'"),
        (["Liver", "All=Liver+Cyst"], "got 'Liver' twice"),
        (["Liver", "liver=Cyst"], "got 'Liver', 'liver' twice|got 'Liver' twice"),
        ([], "got none"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(words, problem):
    with pytest.raises(SettingsError, match=problem):
        choose_labels(words, NAMES)


def test_relabelling_leaves_other_values_alone():
    labelmap = np.array([[0, 1, 2], [3, 4, 2]], np.uint8)
    assert relabel(labelmap, [(2, 3), (1, 0), (200, 3)]).tolist() == [[0, 0, 3], [3, 4, 3]]
    assert relabel(labelmap, [(200, 3)]) is labelmap


def test_a_chosen_subset_is_the_recipe_in_its_order_and_with_the_datas_colours(abdomens):
    recipe, text = planned(abdomens, "Lesion=Cyst+Tumour", "Liver")
    labels = recipe.model["labels"]
    assert [(label["value"], label["name"]) for label in labels] == [(3, "Lesion"), (1, "Liver")]
    assert labels[0]["color"] == label_color(2), "its place among all labels"
    assert (tuple(labels[1]["color"]), labels[1]["type"][1]) == (SPLEEN_RED.color, "10200004")
    assert recipe.relabelled == ((2, 3), (4, 0))
    assert recipe.network["out_channels"] == 3
    assert "learned as background: Lung, left" in " ".join(text.split())
    assert "one structure out of Cyst, Tumour" in " ".join(text.split())


def test_what_is_read_measured_and_judged_is_the_choice(abdomens):
    recipe, _ = planned(abdomens, "Lesion=Cyst+Tumour", "Liver")
    case = read_data(abdomens).cases[0]
    reading = read_cases([case], NoProgress(), recipe)
    sizes = {value: 3 * 2 * value * 12 for value in NAMES}  # 4 is cut at the border
    assert reading.facts[case.id].voxels == {1: sizes[1], 3: sizes[2] + sizes[3]}
    assert reading.facts[case.id].left_out == {4}
    counts = np.bincount(reading.samples[case.id].label.numpy().ravel())
    assert len(counts) == 3
    assert counts[1] > counts[2] > 0, "the first class is the lesion"
    truth = np.array([0, 1, 2, 3, 4], np.uint8)
    found, known = what_was_labelled(truth.copy(), truth, recipe)
    assert known.tolist() == [0, 1, 3, 3, 0]
    assert found.tolist() == truth.tolist()


def test_the_check_warns_of_what_was_left_out_on_purpose_and_stops_at_nothing(abdomens):
    recipe, _ = planned(abdomens, "Liver", "Tumour", "Cyst")
    data = read_data(abdomens)
    unnamed = replace(data, description=replace(data.description, labels={}))
    for one in (data, unnamed):
        report = check_data(one, read_cases(data.cases, NoProgress(), recipe), recipe)
        found = {(finding.severity, finding.kind): finding.cases for finding in report.findings}
        assert found[("warning", "left out")] == tuple(f"case_{n}" for n in range(6))
        assert found[("warning", "empty label")] == ("case_5",)
        assert not [kind for severity, kind in found if severity == "error"]
    without = replace(recipe, relabelled=())
    report = check_data(unnamed, read_cases(data.cases, NoProgress(), without), without)
    assert {finding.kind for finding in report.of("error")} == {"unknown value", "empty label"}


@pytest.mark.parametrize("pairs", [((1, 0),), ((9, 8),), ((9, 0), (9, 1)), ((0, 1),)])
def test_a_recipe_relabels_only_what_it_does_not_learn(recipe, pairs):
    with pytest.raises(SettingsError, match="Expected in relabelled label values that are no structure"):
        replace(recipe, model=recipe.model | {"labels": [{"value": 1, "name": "Box"}]}, relabelled=pairs)


def test_labels_by_name_on_the_command_line(abdomens, tmp_path, capsys):
    assert main(["labels", str(abdomens), "-o", str(tmp_path / "labels.json")]) == 0
    said = capsys.readouterr().out
    assert "segmentation: 6 cases" in said
    assert [line.split() for line in said.splitlines()[2:4]] == [["Liver", "5", "of", "6"], ["Tumour", "5", "of", "6"]]
    assert "detection: no. A detection is trained from a table (CSV)." in said
    counted = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert [one["cases"] for one in counted["labels"]["segmentation"]] == [5, 5, 5, 6]
    run = tmp_path / "run"
    assert main(["plan", str(abdomens), "-o", str(run), "--minutes", "1", "--labels", "cyst", "Liver"]) == 0
    assert "Task: segmentation, the only one that the data allows." in capsys.readouterr().out
    made = Recipe.read(run / "recipe.json")
    assert (made.label_values, made.relabelled) == ((3, 1), ((2, 0), (4, 0)))
    assert json.loads((run / "plan.json").read_text(encoding="utf-8"))["wishes"]["labels"]["left_out"]["2"] == "Tumour"
    assert main(["plan", str(abdomens), "-o", str(tmp_path / "no"), "--recipe", "hippocampus-mr", "--labels", "x"]) == 2
    assert "Expected --labels without --recipe" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
