"""The command from data to a model, and the model under CNNSeg and under plain MONAI."""

import json
import signal

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.catalogue import find_model, list_models
from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.store.self_check import check_model
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.cli.progress import BarProgress
from SlicerCNNSegTrainLib.engine.results.export import export_bundle
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder


@pytest.fixture
def trained(tmp_path, boxes, recipe_file, monkeypatch):
    """A model trained by the command into the user's model folder."""
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    model = tmp_path / "models" / "box"
    command = ["run", boxes, "-o", tmp_path / "run", "--recipe", recipe_file, "--export", model]
    assert main([str(word) for word in command]) == 0
    return model


def test_a_trained_model_is_listed_documented_and_finds_boxes(trained, boxes):
    package = find_model("box")
    assert package.labels[0].value == 3
    dice = package.metrics["held_out"]["Box"]["dice"]
    assert dice["n"] == 2
    assert dice["mean"] > 0.9
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert f"| Box | off | {dice['mean']:.3f}" in card
    assert "8 cases were trained on, 2 were held out (fold 0 of 5" in card
    assert "only boxes" in card
    assert "--recipe recipe.json --export" in card  # not a shipped recipe: the run's own file
    assert "60 steps of 2 windows of 16x16x12 voxels" in card
    (entry,) = (entry for entry in list_models() if entry.id == "box")
    assert all(finding.passed for finding in check_model(entry))
    case = json.loads((trained.parents[1] / "run" / "split.json").read_text())["held_out"][0]
    result = run(SegmentationSettings("box", device="cpu"), [read_volume(boxes / "imagesTr" / f"{case}.nii.gz")])
    truth = read_volume(boxes / "labelsTr" / f"{case}.nii.gz").array[0]
    found = result.labelmap
    assert set(np.unique(found)) == {0, 3}
    assert 2 * ((found == 3) & (truth == 3)).sum() / ((found == 3).sum() + (truth == 3).sum()) > 0.9


def test_the_bundle_runs_under_plain_monai_with_the_same_labels(trained, boxes):
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(trained / "configs" / "inference.json"))
    parser["bundle_root"], parser["dataset_dir"] = str(trained), str(boxes / "imagesTr")
    parser.get_parsed_content("initialize")
    network, inferer = parser.get_parsed_content("network").eval(), parser.get_parsed_content("inferer")
    data = parser.get_parsed_content("preprocessing")(parser.get_parsed_content("datalist")[0])
    with torch.inference_mode():
        data["pred"] = inferer(data["image"][None], network)[0]
    keep = [t for t in parser.get_parsed_content("postprocessing").transforms if type(t).__name__ != "SaveImaged"]
    for transform in keep:
        data = transform(data)
    theirs = np.asarray(data["pred"])[0].transpose(2, 1, 0)
    settings = SegmentationSettings(str(trained), device="cpu", precision="fp32")
    ours = run(settings, [read_volume(boxes / "imagesTr" / "box_00.nii.gz")]).labelmap
    assert (ours == 3).sum() > 100
    assert np.mean((ours == 3) == (theirs == 1)) > 0.9999


def test_a_run_without_a_validation_cannot_be_exported(tmp_path):
    with pytest.raises(FileReadError, match=r"has no best.pt yet; let the run reach its first validation"):
        export_bundle(RunFolder(tmp_path), tmp_path / "model")


def test_usage_faults_end_with_one_line(tmp_path, boxes, capsys):
    assert main(["run", str(boxes), "-o", str(tmp_path), "--recipe", "nothing"]) == 1
    assert main(["run", str(boxes), "-o", str(tmp_path), "--fold", "9"]) == 2
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "m")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cnnseg-train: error:")]
    assert len(lines) == 3
    assert "Expected a fold from 0 to 4, got 9" in lines[1]


def test_ctrl_c_stops_at_the_next_step():
    with BarProgress("Training", stop_cleanly=True) as bar:
        assert not bar.cancelled()
        signal.raise_signal(signal.SIGINT)
        assert bar.cancelled()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
