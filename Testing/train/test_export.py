"""The command from data to a model, and the model under CNNSeg and under plain MONAI."""

import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from train.plain_monai import under_monai

from SlicerCNNSegLib.engine.catalogue import find_model, list_models
from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.store.self_check import check_model
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.cli.progress import BarProgress
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.results.card import _recipe_words
from SlicerCNNSegTrainLib.engine.results.compare import LARGEST_LOSS, WAYS, Measured, as_good, mean_dice, table
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.workflow import export_run


def run_command(*words):
    return main([str(word) for word in words])


@pytest.fixture
def trained(tmp_path, boxes, recipe_file, monkeypatch):
    """A model trained by the command into the user's model folder."""
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    model = tmp_path / "models" / "box"
    assert run_command("auto", boxes, "-o", model, "--run", tmp_path / "run", "--recipe", recipe_file) == 0
    return model


def test_a_trained_model_is_listed_documented_and_finds_boxes(trained, boxes):
    package = find_model("box")
    assert package.labels[0].value == 3
    dice = package.metrics["held_out"]["Box"]["dice"]
    assert dice["n"] == 2
    assert dice["mean"] > 0.9
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert f"| Box | off | {dice['mean']:.3f}" in card
    assert "| Box | on | 0." in card
    assert "8 cases were trained on, 2 were held out (fold 0 of 5" in card
    assert "only boxes" in card
    assert "plan DATA -o RUN --recipe recipe.json" in card  # not a shipped recipe: the run's own file
    assert "80 steps of 2 windows of 16x16x12 voxels" in card
    (entry,) = (entry for entry in list_models() if entry.id == "box")
    assert all(finding.passed for finding in check_model(entry))
    case = json.loads((trained.parents[1] / "run" / "fold_0" / "split.json").read_text())["held_out"][0]
    result = run(SegmentationSettings("box", device="cpu"), [read_volume(boxes / "imagesTr" / f"{case}.nii.gz")])
    truth = read_volume(boxes / "labelsTr" / f"{case}.nii.gz").array[0]
    found = result.labelmap
    assert set(np.unique(found)) == {0, 3}
    assert 2 * ((found == 3) & (truth == 3)).sum() / ((found == 3).sum() + (truth == 3).sum()) > 0.9


def test_the_bundle_runs_under_plain_monai_with_the_same_labels(trained, boxes):
    theirs, _network = under_monai(trained, boxes / "imagesTr")
    settings = SegmentationSettings(str(trained), device="cpu", precision="fp32")
    ours = run(settings, [read_volume(boxes / "imagesTr" / "box_00.nii.gz")]).labelmap
    assert (ours == 3).sum() > 100
    assert np.mean((ours == 3) == (theirs == 1)) > 0.9999


def test_a_run_without_a_validation_cannot_be_exported(tmp_path):
    with pytest.raises(FileReadError, match=r"has no fold_0/best.pt yet; let 'cnnseg-train run' reach its first valid"):
        RunFolder(tmp_path).folds  # noqa: B018


def test_something_else_is_not_overwritten_by_a_model(trained, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("mine")
    assert run_command("export", tmp_path / "run", "-o", tmp_path / "thesis") == 1
    assert "Expected a new folder or a model to replace" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["text"]
    (trained / "old").write_text("old")
    assert run_command("export", tmp_path / "run", "-o", trained) == 0
    assert not (trained / "old").exists()
    assert sorted(path.name for path in trained.parent.iterdir()) == ["box"]


def test_a_comparison_of_precisions_comes_on_the_card(trained, tmp_path, capsys):
    assert run_command("export", tmp_path / "run", "-o", trained, "--compare") == 0
    text = (trained / "README.md").read_text(encoding="utf-8")
    lines = text[text.index("## Smaller and faster") : text.index("## Intended use")].splitlines()
    assert any(line.startswith("The 2 held-out cases") for line in lines)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][2:]
    assert [tuple(row[:2]) for row in rows] == list(WAYS)
    dice = [float(row[2].split()[0]) for row in rows]
    assert min(dice) > 0.9
    assert all(float(row[4]) > 0 for row in rows)
    megabytes = [float(row[5]) for row in rows]
    assert megabytes[0] > 1.5 * megabytes[1]
    assert megabytes[1] == megabytes[2] == megabytes[3] > megabytes[4]
    assert find_model("box").half_precision == (dice[0] - dice[2] <= LARGEST_LOSS)
    (entry,) = (entry for entry in list_models() if entry.id == "box")
    assert all(finding.passed for finding in check_model(entry))


def test_what_half_precision_may_cost():
    rows = [Measured(*way, (0.9, 0.8), 1.0, 1.0) for way in WAYS]
    assert as_good(rows)
    assert as_good([*rows[:2], replace(rows[2], dice=(0.8991, 0.7991)), rows[3]])
    assert not as_good([*rows[:2], replace(rows[2], dice=(0.8985, 0.7985)), rows[3]])
    worse = [*rows[:4], replace(rows[4], dice=(0.5, 0.5))]
    assert as_good(worse)
    assert not as_good(worse, "int8")
    (line,) = table([rows[0], replace(rows[2], dice=(0.95, 0.83))])[-1:]
    assert line == "| float16 | bf16 | 0.8900 (0.8300 to 0.9500) | +0.04000 (+0.03000 to +0.05000) | 1.00 | 1.00 |"


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([1, 1, 0, 0], [1, 0, 0, 0], 2 / 3),
        ([1, 2, 0, 0], [1, 0, 2, 0], 0.5),
        ([0, 0], [0, 0], 1.0),
        ([0, 3], [0, 0], 0.0),
    ],
)
def test_mean_dice_is_that_of_its_definition(found, truth, expected):
    assert mean_dice(np.array(found), np.array(truth)) == pytest.approx(expected)


def test_an_ensemble_is_not_compared(tmp_path):
    run = SimpleNamespace(folds=[None, None])
    with pytest.raises(SettingsError, match="Expected a run of one fold to compare precisions of, got 2"):
        export_run(run, tmp_path / "model", BarProgress, comparing=True)


def test_folds_make_an_ensemble_and_every_case_is_measured_once(boxes, recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    recipe = replace(recipe, folds=2, inference={**recipe.inference, "mirror_axes": []})
    (tmp_path / "two.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    folder, model = tmp_path / "run", tmp_path / "models" / "box"
    assert run_command("plan", boxes, "-o", folder, "--recipe", tmp_path / "two.json") == 0
    assert run_command("run", folder, "--folds", "all", "--steps", "30") == 0
    assert run_command("evaluate", folder) == 0
    out = capsys.readouterr().out
    assert "Fold 1, Box: Dice 0." in out
    assert [path.name for path in (folder / "fold_0" / "validation").iterdir()] == ["plain"]  # nothing to mirror
    report = json.loads((folder / "out_of_fold.json").read_text(encoding="utf-8"))
    assert sorted(case["case"] for case in report["cases"]) == [f"box_{n:02d}" for n in range(10)]
    assert run_command("export", folder, "-o", model) == 0
    numbers = find_model("box").metrics["out_of_fold"]["Box"]["dice"]
    assert numbers["n"] == 10
    assert numbers["mean"] == pytest.approx(report["summary"]["labels"]["3"]["metrics"]["dice"]["mean"], abs=1e-4)
    assert len(find_model("box").weights_files) == 2
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "2 networks, each trained with another of 2 folds of patients held out" in card
    assert "On 10 cases, each segmented by the one network that had not seen it" in card
    (entry,) = (entry for entry in list_models() if entry.id == "box")
    assert all(finding.passed for finding in check_model(entry))


def test_usage_faults_end_with_one_line(tmp_path, boxes, recipe_file, capsys):
    assert run_command("plan", boxes, "-o", tmp_path / "run", "--recipe", "nothing") == 1
    assert run_command("plan", boxes, "-o", tmp_path / "run", "--recipe", recipe_file) == 0
    assert run_command("plan", boxes, "-o", tmp_path / "run", "--recipe", recipe_file) == 2
    assert run_command("run", tmp_path / "run", "--folds", "9") == 2
    assert run_command("run", tmp_path / "run", "--folds", "one") == 2
    assert run_command("run", tmp_path / "nothing") == 1
    assert run_command("evaluate", tmp_path / "run", "--test") == 1
    assert run_command("export", tmp_path / "run", "-o", tmp_path / "m") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cnnseg-train: error:")]
    words = (
        "No recipe 'nothing'",
        "holds a run already; train it with",
        "Expected a fold from 0 to 4, got 9",
        "Expected --folds like 0,1 or all, got 'one'",
        "is no run: it has no readable data.json",
        "has no fold_0/best.pt yet",
        "has no fold_0/best.pt yet",
    )
    assert len(lines) == len(words)
    assert all(part in line for part, line in zip(words, lines, strict=True))


def test_ctrl_c_stops_at_the_next_step():
    with BarProgress("Training", stop_cleanly=True) as bar:
        assert not bar.cancelled()
        signal.raise_signal(signal.SIGINT)
        assert bar.cancelled()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_card_names_the_recipe_as_the_command_takes_it(recipe):
    shipped = Recipe.read("hippocampus-mr")
    assert _recipe_words(shipped) == "hippocampus-mr"
    assert _recipe_words(replace(shipped, minutes=30.0)) == "hippocampus-mr --minutes 30"
    assert _recipe_words(replace(shipped, steps=7)) == "hippocampus-mr --steps 7"
    assert _recipe_words(replace(shipped, seed=1)) == _recipe_words(recipe) == "recipe.json"
