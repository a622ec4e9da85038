"""``cnnseg models import``: a description in a file, answers in a terminal, and a model that runs at once."""

import io
import json

import pytest
import torch
from safetensors.torch import load_file

from SlicerCNNSegLib.cli import models_import
from SlicerCNNSegLib.engine.networks import build_network

SAID = {
    "id": "plain-unet",
    "network": {"_target_": "UNet", "channels": [4, 8], "strides": [2]},
    "channels": ["T1:MR"],
    "labels": ["liver"],
    "spacing_mm": [1, 1, 1],
    "orientation": "RAS",
    "normalisation": "z-score",
    "window": [16, 16, 16],
    "licence": "MIT",
}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = build_network({**SAID["network"], "spatial_dims": 3, "in_channels": 1, "out_channels": 2})
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


@pytest.fixture
def description(tmp_path):
    path = tmp_path / "said.json"
    path.write_text(json.dumps(SAID))
    return path


class Terminal(io.StringIO):
    """A person's answers, line by line."""

    def isatty(self):
        return True


def test_a_described_model_is_listed_and_runs(cnnseg, weights, description, models, images, out):
    outcome = cnnseg("models", "import", weights, "--description", description)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == f"Imported plain-unet 1.0 (MIT) to {models / 'plain-unet'}"
    assert "tensors in weights.pt" in outcome.out
    assert "plain-unet" in cnnseg("models", "list").out
    assert cnnseg("models", "check", "plain-unet").status == 0
    assert cnnseg("segment", images[0], "--model", "plain-unet", "-o", out, "--device", "cpu").status == 0
    assert list(out.rglob("*.seg.nrrd"))
    again = cnnseg("models", "import", weights, "--description", description)
    again.assert_refused(2, "The model plain-unet is there already")


def test_what_is_not_described_is_asked_for(cnnseg, weights, tmp_path, models, monkeypatch):
    answers = [
        "asked-unet",
        "",  # asked once more
        json.dumps(SAID["network"]),
        "T1:MR",
        "liver",
        "1, 1, 1",
        "RAS",
        "0, 100",
        "16, 16, 16",
        "",  # by name
        "y",  # to the licence, which nobody stated
    ]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join(answers) + "\n"))
    kept = tmp_path / "kept.json"
    outcome = cnnseg("models", "import", weights, "--write-description", kept)
    assert outcome.status == 0
    assert "Window in voxels along the network's axes, with commas between: " in outcome.err
    inference = json.loads((models / "asked-unet" / "configs" / "inference.json").read_text())
    assert inference["preprocessing"]["transforms"][-1]["a_max"] == 100.0
    monkeypatch.setattr("sys.stdin", io.StringIO())
    replaced = cnnseg("models", "import", weights, "--description", kept, "--replace", "--accept-licence")
    assert replaced.status == 0
    assert json.loads((models / "asked-unet" / "configs" / "inference.json").read_text()) == inference


def test_weights_of_another_program_by_answers_alone(cnnseg, weights, models, monkeypatch):
    state = torch.load(weights, weights_only=True)
    torch.save({f"somebodys.{number}": tensor for number, tensor in enumerate(state.values())}, weights)
    answers = [*(json.dumps(one) if isinstance(one, dict | list) else one for one in list(SAID.values())[:-1]), "order"]
    monkeypatch.setattr("sys.stdin", Terminal("\n".join([*answers, "y"]) + "\n"))
    outcome = cnnseg("models", "import", weights)
    assert outcome.status == 0, outcome.err
    assert "(Enter: name): " in outcome.err
    assert "All were taken by their order" in outcome.out
    for name, tensor in load_file(models / "plain-unet" / "models" / "model.safetensors").items():
        torch.testing.assert_close(tensor, state[name])


def test_wrong_usage_is_told(cnnseg, weights, description, tmp_path, models):
    cnnseg("models", "import", weights).assert_refused(2, "The description of the model lacks id, network, channels,")
    cnnseg("models", "import", weights, "--description", tmp_path / "no.json").assert_refused(2, "Expected a JSON file")
    cnnseg("models", "import", tmp_path / "no.pt", "--description", description).assert_refused(1, "cannot be read")
    other = tmp_path / "list.json"
    other.write_text("[]")
    cnnseg("models", "import", weights, "--description", other).assert_refused(2, "Expected a JSON object in")
    assert not (models / "plain-unet").exists()


def test_the_help_shows_a_description_that_holds():
    from SlicerCNNSegLib.engine.described.description import Description

    text = models_import.IMPORT_EPILOG
    shown = json.loads(text[text.index('{"id"') : text.index('"MIT"}') + len('"MIT"}')])
    assert Description.from_json(shown).labels == ("white matter", "grey matter")


def test_an_end_of_input_is_an_incomplete_description(cnnseg, weights, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("only-an-id\n"))
    outcome = cnnseg("models", "import", weights)
    assert outcome.status == 2
    assert "lacks network, channels" in outcome.err
