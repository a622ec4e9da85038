"""``cnnseg models``: the list and all that is known of one model."""

import json

import pytest

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.package import ModelPackage


@pytest.fixture(autouse=True)
def no_embedded_models(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "none")


def test_the_list_has_a_line_for_each_model(cnnseg, models):
    size = round(ModelPackage.read(models / "blob").size_bytes / 1e6, 1)
    outcome = cnnseg("models", "list")
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["id", "task", "modality", "structures", "MB", "licence"],
        ["blob", "segmentation", "MR", "1:", "Blob", str(size), "Apache-2.0"],
        ["pair", "segmentation", "MR", "1:", "Blob", str(size), "Apache-2.0"],
    ]


def test_a_long_list_of_structures_is_shortened(cnnseg, models):
    path = models / "blob" / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    data["cnnseg"]["labels"] = [{"value": n, "name": f"Structure {n}", "color": [1, 0, 0]} for n in range(1, 118)]
    path.write_text(json.dumps(data))
    line = cnnseg("models", "list").out.splitlines()[1]
    assert "117: Structure 1, Structure 2, Structure 3, St..." in line
    shown = cnnseg("models", "show", "blob").out
    assert "Structure 117" in shown


def test_a_broken_model_is_listed_with_the_reason(cnnseg, models):
    (models / "pair" / "configs" / "metadata.json").write_text("{")
    outcome = cnnseg("models", "list")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1].startswith("pair: cannot be used: ")
    assert "no valid JSON" in outcome.out
    (listed,) = [entry for entry in json.loads(cnnseg("models", "list", "--json").out) if "problem" in entry]
    assert listed["id"] == "pair"
    assert listed["folder"] == str(models / "pair")


def test_no_model_at_all_is_told_with_where_to_put_one(cnnseg, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "empty"))
    outcome = cnnseg("models", "list")
    assert outcome.status == 0
    assert outcome.out == f"There is no model; put model folders into {tmp_path / 'empty'}.\n"


def test_one_model_is_shown_with_channels_codes_metrics_and_card(cnnseg, models):
    path = models / "blob" / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    data["eval_metrics"] = {"dice": {"mean": 0.91, "ci95": [0.9, 0.92]}}
    path.write_text(json.dumps(data))
    (models / "blob" / "README.md").write_text("# Card")
    outcome = cnnseg("models", "show", "blob")
    assert (outcome.status, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["blob", "0.0.1:", "Test", "model"] in lines
    assert ["T1", "MR"] in lines
    assert ["1", "Blob", "SCT^4147007^Mass"] in lines
    assert ["dice.mean", "0.91"] in lines
    assert ["dice.ci95", "[0.9,", "0.92]"] in lines
    assert f"model card:    {models / 'blob' / 'README.md'}" in outcome.out
    assert ModelPackage.read(models / "blob").sha256 in outcome.out


def test_one_model_as_json_and_by_folder(cnnseg, models):
    by_id = json.loads(cnnseg("models", "show", "pair", "--json").out)
    by_folder = json.loads(cnnseg("models", "show", models / "pair", "--json").out)
    assert by_id == by_folder
    assert [channel["name"] for channel in by_id["channels"]] == ["T1", "FLAIR"]
    assert by_id["labels"][0]["type"] == ["SCT", "4147007", "Mass"]
    assert by_id["card"] == ""


def test_an_unknown_model_is_refused_with_the_known_ones(cnnseg):
    cnnseg("models", "show", "absent").assert_refused(2, "No model 'absent': expected one of blob, pair")


def test_a_broken_model_cannot_be_shown(cnnseg, models):
    (models / "blob" / "configs" / "metadata.json").unlink()
    cnnseg("models", "show", "blob").assert_refused(1, "The model blob lacks configs/metadata.json")
