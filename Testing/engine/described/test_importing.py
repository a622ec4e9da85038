"""Bare weights and a description become a model that gives what their network gives; what does not fit is told."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from SlicerCNNSegLib.engine.described.description import Description
from SlicerCNNSegLib.engine.described.importing import write_described
from SlicerCNNSegLib.engine.errors import ModelError, SettingsError, WeightsError
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

ARGUMENTS = {"_target_": "UNet", "channels": [4, 8], "strides": [2]}
COMPLETE = {**ARGUMENTS, "spatial_dims": 3, "in_channels": 1, "out_channels": 3}
SAID = {
    "id": "plain-unet",
    "network": ARGUMENTS,
    "channels": ["T1:MR"],
    "labels": ["liver", "left kidney"],
    "spacing_mm": [0, 0, 0],
    "orientation": "LPS",
    "normalisation": "z-score",
    "window": [8, 8, 8],
    "overlap": 0,
}


@pytest.fixture
def network():
    torch.manual_seed(3)
    return build_network(COMPLETE).eval()


def described(**changed):
    return Description.from_json({**SAID, **changed})


def save(path, state):
    torch.save(state, path)
    return path


def image():
    array = np.random.default_rng(0).normal(10, 5, (1, 8, 8, 8)).astype(np.float32)
    return Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]), modality="MR")  # its axes run to L, P, S


@pytest.mark.parametrize("form", ["plain", "checkpoint", "safetensors", "script"])
def test_the_model_gives_what_the_network_gives(network, tmp_path, form):
    path = tmp_path / "weights.pt"
    state = network.state_dict()
    if form == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(state, path)
    elif form == "script":
        torch.jit.trace(network, torch.zeros(1, 1, 8, 8, 8)).save(path)
    else:
        save(path, state if form == "plain" else {"state_dict": {f"module.{k}": v for k, v in state.items()}})
    notes = write_described(path, described(), tmp_path / "model", trust_script=form == "script")
    assert ("The names of the weights all began with 'module.', which was left out." in notes) == (form == "checkpoint")
    package = ModelPackage.read(tmp_path / "model")
    assert (package.id, package.modality, package.licence) == ("plain-unet", "MR", "not stated")
    assert package.inference["network_def"] == COMPLETE
    settings = SegmentationSettings(str(tmp_path / "model"), device="cpu", precision="fp32")
    found = run(settings, [image()]).labelmap
    array = image().array[0].transpose(2, 1, 0)
    with torch.no_grad():
        scores = network(torch.from_numpy((array - array.mean()) / array.std())[None, None])
    np.testing.assert_array_equal(found, scores[0].argmax(0).numpy().transpose(2, 1, 0))
    assert set(np.unique(found)) == {0, 1, 2}


def test_a_network_of_slices(tmp_path):
    flat = build_network({**COMPLETE, "spatial_dims": 2, "in_channels": 3})
    path = save(tmp_path / "flat.pt", flat.state_dict())
    write_described(path, described(window=[8, 8], slices=3), tmp_path / "model")
    inference = ModelPackage.read(tmp_path / "model").inference
    assert (inference["network_def"]["spatial_dims"], inference["network_def"]["in_channels"]) == (2, 3)
    assert inference["cnnseg"]["slices"] == 3
    found = run(SegmentationSettings(str(tmp_path / "model"), device="cpu"), [image()])
    assert found.labelmap.shape == (8, 8, 8)


def test_torchscript_is_opened_on_trust_alone(network, tmp_path):
    torch.jit.trace(network, torch.zeros(1, 1, 8, 8, 8)).save(tmp_path / "script.pt")
    with pytest.raises(WeightsError, match=r"are TorchScript, which is code, .* give --trust-torchscript"):
        write_described(tmp_path / "script.pt", described(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_does_not_fit_is_told_in_words(network, tmp_path):
    state = dict(network.state_dict())
    first, second, *_ = state
    state["extra.weight"] = state.pop(second)
    state[first] = torch.zeros(4, 2, 3, 3, 3)
    told = (
        rf"1 missing: {second}; 1 unexpected: extra.weight; 1 of another shape: {first} "
        r"\(4x2x3x3x3 instead of 4x1x3x3x3\)"
    )
    with pytest.raises(WeightsError, match=told):
        write_described(save(tmp_path / "wrong.pt", state), described(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_many_names_are_cut(network, tmp_path):
    state = {f"other{n}": tensor for n, tensor in enumerate(network.state_dict().values())}
    count = len(state)
    with pytest.raises(
        WeightsError, match=rf"{count} unexpected: other0, other1, other2, other3, other4 and {count - 5} more"
    ):
        write_described(save(tmp_path / "other.pt", state), described(), tmp_path / "model")


def test_other_names_in_the_same_order(network, tmp_path):
    state = {f"layer{n}": tensor for n, tensor in enumerate(network.state_dict().values())}
    path = save(tmp_path / "other.pt", state)
    with pytest.raises(WeightsError, match='describe them with "match": "order"'):
        write_described(path, described(), tmp_path / "model")
    notes = write_described(path, described(match="order"), tmp_path / "model")
    assert notes[-1] == "All were taken by their order; check a result."
    written = ModelPackage.read(tmp_path / "model").weights_files[0]
    from safetensors.torch import load_file

    torch.testing.assert_close(load_file(written), dict(network.state_dict()))
    short = save(tmp_path / "short.pt", dict(list(state.items())[:-1]))
    with pytest.raises(WeightsError, match=f"the network has {len(state)} tensors, the file {len(state) - 1}"):
        write_described(short, described(match="order"), tmp_path / "other")


def test_weights_that_hold_code_are_not_read(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    with pytest.raises(WeightsError, match="hold more than tensors"):
        write_described(save(tmp_path / "harm.pt", {"a": Harm()}), described(), tmp_path / "model")
    assert not (tmp_path / "harm").exists()


def test_networks_are_looked_up(tmp_path, network):
    path = save(tmp_path / "weights.pt", network.state_dict())
    with pytest.raises(ModelError, match="Unknown network 'system'"):
        write_described(path, described(network={"_target_": "os.system"}), tmp_path / "model")
    with pytest.raises(ModelError, match="multiples of 2 x 2 x 2 voxels"):
        write_described(path, described(window=[7, 8, 8]), tmp_path / "model")


def test_answers_may_be_texts():
    answers = {**SAID, "channels": "T1:MR, T2", "labels": "a, b", "spacing_mm": "1, 1, 2.5", "window": "8,8,8"}
    asked = Description.from_json({**answers, "normalisation": "-100, 300"})
    assert (asked.channels, asked.labels, asked.spacing_mm) == (("T1:MR", "T2"), ("a", "b"), (1.0, 1.0, 2.5))
    assert asked.normalisation == (-100.0, 300.0)
    assert asked.intensity()[0]["a_max"] == 300.0
    channels = asked.metadata()["cnnseg"]["channels"]
    assert channels == [{"name": "T1", "modality": "MR"}, {"name": "T2", "modality": ""}]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"id": "../up"}, r"id of letters, digits, - and _, got '../up'"),
        ({"network": "UNet"}, "a network as an object with _target_"),
        ({"labels": ["a", "a"]}, "at least one label, whose names differ"),
        ({"channels": []}, "at least one channel"),
        ({"spacing_mm": [1, 1]}, r"a spacing of three numbers from 0 on, got \(1.0, 1.0\)"),
        ({"orientation": "RAX"}, "an orientation such as RAS or LPS, got 'RAX'"),
        ({"normalisation": "minmax"}, "a normalisation out of 'none', .* got 'minmax'"),
        ({"normalisation": [3, 1]}, "two numbers, the smaller one first"),
        ({"match": "luck"}, "match to be one of name, order, got 'luck'"),
        ({"window": "large"}, "a value that makes no sense"),
        ({"colour": "red"}, "has the unknown colour"),
    ],
)
def test_descriptions_that_make_no_sense(changed, fault):
    with pytest.raises(SettingsError, match=fault):
        described(**changed)


def test_what_is_missing_is_named():
    with pytest.raises(SettingsError, match="lacks labels, window; see 'cnnseg models import --help'"):
        Description.from_json({key: value for key, value in SAID.items() if key not in ("labels", "window")})
