"""Small models by the commands: weights in eight bits, and models side by side on a run's held-out cases."""

import argparse
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_model import write_tiny_model
from train.plain_monai import under_monai

from SlicerCNNSegLib.engine.catalogue import CatalogueEntry
from SlicerCNNSegLib.engine.device import choose_precision
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.store.self_check import check_model
from SlicerCNNSegLib.engine.weights import load_weights, stored_type
from SlicerCNNSegTrainLib.cli import export
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.cli.progress import BarProgress
from SlicerCNNSegTrainLib.engine.results.compare import MODELS, Measured, add_to_cards, table
from SlicerCNNSegTrainLib.engine.results.export import WEIGHTS, WEIGHTS_TYPES
from SlicerCNNSegTrainLib.engine.workflow import export_run


def command(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def places(boxes, tmp_path_factory):
    """Folder of a trained run and of its model in half precision; copied by whoever changes it."""
    return tmp_path_factory.mktemp("compare")


@pytest.fixture
def trained(places, boxes, recipe, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(places / "models"))
    if not (places / "run").exists():
        plain = replace(recipe, inference={**recipe.inference, "mirror_axes": []})
        (places / "recipe.json").write_text(json.dumps(plain.to_json()), encoding="utf-8")
        options = ("--run", places / "run", "--recipe", places / "recipe.json")
        assert command("auto", boxes, "-o", places / "models" / "box", *options) == 0
    return places


def dice_of(model):
    return ModelPackage.read(model).metrics["held_out"]["Box"]["dice"]["mean"]


def test_a_model_in_eight_bits_is_as_good_and_runs_under_plain_monai_too(trained, boxes, capsys):
    half, small = trained / "models" / "box", trained / "small"
    assert command("export", trained / "run", "-o", small, "--weights", "int8") == 0
    assert [stored_type(model / WEIGHTS) for model in (half, small)] == ["float16", "int8"]
    assert (small / WEIGHTS).stat().st_size < 0.75 * (half / WEIGHTS).stat().st_size  # many scales, few channels
    assert dice_of(small) > 0.9
    assert abs(dice_of(small) - dice_of(half)) < 0.01
    metadata = json.loads((small / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["cnnseg"]["weights"] == "int8"
    card = (small / "README.md").read_text(encoding="utf-8")
    assert "kept in int8 with a scale for each output\nchannel (symmetric quantisation after training)" in card
    assert "cnnseg-train export RUN -o MODEL --weights int8" in card
    findings = check_model(CatalogueEntry("box", small, ModelPackage.read(small)))
    assert [finding for finding in findings if not finding.passed] == []
    theirs, network = under_monai(small, boxes / "imagesTr")
    ours = run(
        SegmentationSettings(str(small), device="cpu", precision="fp32"),
        [read_volume(boxes / "imagesTr" / "box_00.nii.gz")],
    ).labelmap
    assert (ours == 3).sum() > 100
    assert np.mean((ours == 3) == (theirs == 1)) > 0.9999
    again = build_network(metadata_network(small))
    load_weights(again, small / WEIGHTS)
    expected, found = again.state_dict(), network.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    # the fold's own model is int8 now: in half precision it is made and measured again
    assert command("export", trained / "run", "-o", trained / "again") == 0
    assert stored_type(trained / "again" / WEIGHTS) == "float16"
    assert dice_of(trained / "again") == dice_of(half)


def metadata_network(model):
    return ModelPackage.read(model).inference["network_def"]


def test_models_are_compared_on_the_held_out_cases_and_on_their_cards(trained, tmp_path, capsys):
    half, other = trained / "models" / "box", tmp_path / "other"
    shutil.copytree(half, other)
    words = ("compare", trained / "run", "box", other, "--card")
    assert command(*words, "--precision", "fp32") == command(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    first, rows = (
        [[cell.strip() for cell in line.strip("|").split("|")] for line in part if line.startswith("| ")]
        for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :])
    )
    assert first[0] == rows[0] == ["model", "weights", "computed in", "Dice", "difference", "s", "MB"]
    assert [row[:3] for row in first[2:]] == [["box", "float16", "fp32"], ["other", "float16", "fp32"]]
    assert [row[2] for row in rows[2:]] == [choose_precision("auto", torch.device("cpu"))] * 2
    assert rows[2][3] == rows[3][3]
    assert float(rows[2][3].split()[0]) == pytest.approx(dice_of(half), abs=6e-5)  # as the export measured, rounded
    assert rows[3][4] == "+0.00000 (+0.00000 to +0.00000)"
    assert float(rows[3][6]) == pytest.approx((half / WEIGHTS).stat().st_size / 1e6, abs=0.006)
    card = (other / "README.md").read_text(encoding="utf-8")
    assert card.count(MODELS[0]) == card.count("| other | float16 |") == 1  # the second table in place of the first
    assert card.index(MODELS[0]) < card.index("## Intended use")
    assert MODELS[0] not in (half / "README.md").read_text(encoding="utf-8")


def test_a_table_takes_the_place_of_the_one_before_alone(tmp_path):
    text = f"# Title\n\n{MODELS[0]}\n\nold\n\n## Intended use\n\nnone\n"
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    rows = [Measured("float16", "fp32", (0.5, 0.7), 1.5, 2.25, name) for name in ("a", "b")]
    add_to_cards([tmp_path], rows)
    section = "\n".join(table(rows))
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == f"# Title\n\n{section}\n\n## Intended use\n\nnone\n"
    assert section.splitlines()[-2] == "| a | float16 | fp32 | 0.6000 (0.5000 to 0.7000) | - | 1.50 | 2.25 |"


def test_what_cannot_be_compared_is_told(trained, tmp_path, capsys):
    blob = write_tiny_model(tmp_path / "blob")  # its label is 1, the run's 3
    assert command("compare", trained / "run", "box", blob) == 2
    assert "Expected segmentations with the run's label values (3,) to compare, but blob" in capsys.readouterr().err
    bare = tmp_path / "bare"
    shutil.copytree(trained / "models" / "box", bare)
    (bare / "README.md").unlink()
    assert command("compare", trained / "run", "box", bare, "--card") == 2
    assert "Expected models with a card (README.md) to put the table on, but bare" in capsys.readouterr().err
    assert command("compare", tmp_path, "box") == 1
    assert "has no fold_0/best.pt yet" in capsys.readouterr().err
    assert command("compare", trained / "run", "nobody") == 2
    assert "No model 'nobody'" in capsys.readouterr().err


def test_only_segmentations_have_a_choice_of_weights(tmp_path, recipe):
    other = recipe.to_json() | {"model": {**recipe.model, "task": "detection"}, "loss": {"score": 1.0, "box": 1.0}}
    (tmp_path / "recipe.json").write_text(json.dumps(other), encoding="utf-8")
    run = SimpleNamespace(folds=[SimpleNamespace(recipe=tmp_path / "recipe.json")])
    with pytest.raises(SettingsError, match="Expected a segmentation to store weights in int8 of, got a detection"):
        export_run(run, tmp_path / "model", BarProgress, weights="int8")
    with pytest.raises(SettingsError, match="Expected weights stored in float32, float16, bfloat16, int8, got 'int4'"):
        export_run(run, tmp_path / "model", BarProgress, weights="int4")
    parser = argparse.ArgumentParser()
    export.add_parser(parser.add_subparsers())
    (weights,) = (
        action for action in parser._subparsers._group_actions[0].choices["export"]._actions if action.dest == "weights"
    )
    assert tuple(weights.choices) == WEIGHTS_TYPES
    assert weights.default == "float16"
