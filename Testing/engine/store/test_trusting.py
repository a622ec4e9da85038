"""Code of a bundle's own runs only after its user's word, and only as long as nothing of it was changed."""

import json
import sys

import nibabel
import numpy as np
import pytest
import torch
from zoo_bundles import (
    ARGMAX,
    INVERT,
    LOADED,
    SAVE,
    SOFTMAX,
    STYLES,
    Style,
    step,
    transforms,
    write_bundle,
    write_image,
)

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.bundles.trust import RECORD
from SlicerCNNSegLib.engine.catalogue import find_model, list_models
from SlicerCNNSegLib.engine.errors import ConfigError, ModelError, OutputError, SettingsError, UnknownModelError
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.store.store import install
from SlicerCNNSegLib.engine.store.trusting import trust, untrust
from SlicerCNNSegLib.engine.volume import Volume

CODE = """
import torch
from pathlib import Path

Path(__file__).with_name("ran").touch()


class Own(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.score = torch.nn.Conv3d(1, 2, 1)
        self.scale = scale

    def forward(self, image):
        return self.score(image * self.scale)


def centred(image):
    return image - image.mean()
"""
STYLE = Style(
    {
        **STYLES["spleen"].config,
        "network_def": {"_target_": "scripts.own.Own", "scale": "$2.0"},
        "preprocessing": transforms(
            *LOADED,
            step("Orientationd", axcodes="RAS"),
            step("Spacingd", pixdim=[1.5, 1.5, 2.0], mode="bilinear"),
            step("Lambdad", func="$centred"),
        ),
        "imports": ["$from scripts.own import centred"],
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": transforms(SOFTMAX, step("Invertd", "pred", **INVERT), ARGMAX, SAVE),
    }
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "shipped")
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path):
    """A bundle with code of its own, outside of the store; the honest style gives its files."""
    folder = write_bundle(tmp_path / "made" / "own_code", STYLES["spleen"])
    (folder / "configs" / "inference.json").write_text(json.dumps(STYLE.config))
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "own.py").write_text(CODE)
    state = {"score.weight": torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1, 1), "score.bias": torch.zeros(2)}
    torch.save(state, folder / "models" / "model.pt")
    return folder


@pytest.fixture
def volume(tmp_path):
    image = nibabel.load(write_image(tmp_path / "case.nii.gz", STYLE))
    return Volume(np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)[None], image.affine)


def yes(package, reason, code):
    return True


def settings(model):
    return SegmentationSettings(str(model), device="cpu", precision="fp32")


def has_run(folder):
    return (folder / "scripts" / "ran").exists()


def test_it_runs_after_trust_and_not_before(folder, store, volume, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with pytest.raises(ConfigError, match=r"asks for scripts.own.Own"):
        install(folder)
    package = install(folder, keep_refused=True)
    assert package.folder == store / "own_code"
    (entry,) = list_models()
    assert entry.package is None
    assert "asks for scripts.own.Own" in entry.problem
    with pytest.raises(ModelError, match=r"asks for scripts.own.Own"):
        run(settings("own_code"), [volume])
    assert not has_run(package.folder)
    seen = []
    trust("own_code", lambda *shown: seen.append(shown) or True)
    ((shown, reason, code),) = seen
    assert shown.id == "own_code"
    assert "asks for scripts.own.Own" in reason
    assert [path.name for path in code] == ["__init__.py", "own.py"]
    assert not has_run(package.folder)
    assert find_model("own_code").bundle.trusted
    (package.folder / "scripts" / "own.py").write_text(CODE.replace('Path(__file__).with_name("ran").touch()', ""))
    trust("own_code", yes)
    result = run(settings("own_code"), [volume])
    bright = volume.array[0] > volume.array[0].mean()
    assert (result.mask("spleen") == bright).mean() > 0.95
    assert any("ran code of its own" in note for note in result.record.warnings)
    assert not list(package.folder.rglob("__pycache__")), "it would change the checksum"
    assert not sys.dont_write_bytecode
    assert not [name for name in sys.modules if name.partition(".")[0] == "scripts"]
    untrust("own_code")
    with pytest.raises(ModelError, match=r"asks for scripts.own.Own"):
        run(settings("own_code"), [volume])


@pytest.mark.parametrize("name", ["scripts/own.py", "configs/inference.json", "scripts/__pycache__/own.pyc"])
def test_a_changed_file_ends_the_trust(folder, store, volume, name):
    package = install(folder, keep_refused=True)
    trust("own_code", yes)
    path = package.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "\n")
    with pytest.raises(ModelError, match=r"was changed after it was trusted; look at what was changed"):
        run(settings("own_code"), [volume])
    assert not has_run(package.folder)


def test_trust_holds_in_the_users_folder_alone(folder, store, volume):
    install(folder, keep_refused=True)
    trust("own_code", yes)
    record = (store / RECORD).read_text()
    (folder.parent / RECORD).write_text(record)
    with pytest.raises(ConfigError, match=r"asks for scripts.own.Own"):
        run(settings(folder), [volume])
    assert not has_run(folder)


def test_an_error_of_its_code_is_told(folder, store, volume):
    (folder / "scripts" / "own.py").write_text("raise RuntimeError('no luck')\n")
    install(folder, keep_refused=True)
    trust("own_code", yes)
    with pytest.raises(ModelError, match=r"own_code fails .*no luck"):
        run(settings("own_code"), [volume])


def test_what_cannot_be_trusted_is_told(folder, store, tmp_path):
    with pytest.raises(UnknownModelError, match="No model 'own_code'"):
        trust("own_code", yes)
    install(write_bundle(tmp_path / "spleen", STYLES["spleen"]))
    with pytest.raises(SettingsError, match="The model spleen runs without code of its own; it needs no trust"):
        trust("spleen", yes)
    install(folder, keep_refused=True)
    with pytest.raises(SettingsError, match="The model own_code was not trusted; nothing was changed"):
        trust("own_code", lambda *_: False)
    with pytest.raises(SettingsError, match="'own_code' is not among those that were trusted"):
        untrust("own_code")
    assert not (store / RECORD).exists()


def test_shipped_models_are_not_trusted(folder, store, tmp_path):
    folder.rename(tmp_path / "shipped")
    (tmp_path / "shipped").rename(tmp_path / "moved")
    (tmp_path / "shipped").mkdir()
    (tmp_path / "moved").rename(tmp_path / "shipped" / "own_code")
    with pytest.raises(SettingsError, match=r"The model own_code is not in .*store; install it there before"):
        trust("own_code", yes)


def test_a_damaged_record_trusts_nobody(folder, store, volume):
    install(folder, keep_refused=True)
    (store / RECORD).write_text("{")
    with pytest.raises(ModelError, match=r"The record of trusted models .* cannot be read"):
        run(settings("own_code"), [volume])
    (store / RECORD).unlink()
    (store / RECORD).mkdir()
    with pytest.raises(OutputError, match=r"Expected a file to write, but .* is a folder"):
        trust("own_code", yes)
