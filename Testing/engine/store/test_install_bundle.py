"""Bundles that others made are installed as they are published, and what could run code is not."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from zoo_bundles import STYLES, write_bundle

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.catalogue import CatalogueEntry, find_model
from SlicerCNNSegLib.engine.errors import ArchiveError, ConfigError, SettingsError, WeightsError
from SlicerCNNSegLib.engine.store.contents import check_contents
from SlicerCNNSegLib.engine.store.self_check import CHECKSUM, LABELS, WEIGHTS, check_model
from SlicerCNNSegLib.engine.store.store import install, pack_model
from SlicerCNNSegLib.engine.store.torch_files import check_torch_file


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "shipped")
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "made" / "spleen_ct", STYLES["spleen"])


def zipped(folder, path, top=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return path


@pytest.mark.parametrize("top", ["", "spleen_ct/"])
def test_the_id_is_the_archives_name_or_the_folders(folder, tmp_path, store, top):
    path = zipped(folder, tmp_path / "spleen_ct_v0.5.9.zip", top)
    package = install(path)
    assert (package.id, package.folder) == ("spleen_ct", store / "spleen_ct")
    assert find_model("spleen_ct").bundle.weights == store / "spleen_ct" / "models" / "model.pt"
    with pytest.raises(SettingsError, match="The model spleen_ct is there already"):
        install(path)
    pack_model("spleen_ct", tmp_path / "again.zip")
    again = install(tmp_path / "again.zip", replace=True)
    assert again.sha256 == package.sha256


def test_what_is_never_read_is_left_out(folder, store):
    (folder / "models" / "model.ts").write_bytes(b"code")
    (folder / "docs").mkdir()
    np.save(folder / "docs" / "example.npy", np.zeros(3))
    (folder / "scripts").mkdir()
    (folder / "scripts" / "own.py").write_text("raise SystemExit\n")
    install(folder)
    names = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    assert names == {
        "spleen_ct/LICENSE", "spleen_ct/configs/inference.json", "spleen_ct/configs/metadata.json",
        "spleen_ct/models/model.pt", "spleen_ct/scripts/own.py",
    }  # fmt: skip
    assert (folder / "models" / "model.ts").exists()
    with pytest.raises(ArchiveError, match="can run code; only safetensors are read, and models/"):
        check_contents(folder, "spleen_ct")


def test_a_refused_bundle_is_not_installed(folder, store):
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["network_def"] = {"_target_": "scripts.networks.UNesT"}
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"asks for scripts.networks.UNesT"):
        install(folder)
    assert not list(store.iterdir())


def test_the_self_check_knows_them(folder):
    def answers():
        package = find_model(folder)
        findings = check_model(CatalogueEntry(package.id, folder, package))
        return {finding.question: (finding.passed, finding.detail) for finding in findings}

    found = answers()
    assert found[WEIGHTS] == (True, "1 file(s), 80 tensors each")
    assert found[CHECKSUM] == (None, "configs/metadata.json gives none")
    assert found[LABELS] == (None, "the model has no configs/self_check.json")
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    state.pop(next(iter(state)))
    torch.save(state, folder / "models" / "model.pt")
    passed, detail = answers()[WEIGHTS]
    assert passed is False
    assert "don't fit their network: 1 missing" in detail


@pytest.mark.parametrize(
    "value",
    [
        {"a": torch.rand(3)},
        {"state_dict": {"a": torch.nn.Parameter(torch.rand(3).half())}, "epoch": 3, "lr": 0.1, "names": ("a", None)},
        {"a": np.zeros(3), "b": np.float64(2)},
        torch.nn.Linear(2, 2).state_dict(),
    ],
)
def test_pytorchs_own_files_pass(tmp_path, value):
    torch.save(value, tmp_path / "model.pt")
    check_torch_file(tmp_path / "model.pt")


def test_others_do_not(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.rand(3), path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"it is damaged, or older than PyTorch 1.6"):
        check_torch_file(path)
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"it names 'torch.nn.modules.linear.Linear', which could run code"):
        check_torch_file(path)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(WeightsError, match=r"it is TorchScript, which is code"):
        check_torch_file(path)
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(WeightsError, match=r"it is no weights file of PyTorch"):
        check_torch_file(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(WeightsError, match=r"cannot be read"):
        check_torch_file(path)
