"""Wheels packed beside a model: pip installs from them without a network, and an installed model has none of them."""

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile

import pytest
from tiny_model import write_tiny_model

from SlicerCNNSegLib.cli.main import main
from SlicerCNNSegLib.engine.errors import ArchiveError, SettingsError
from SlicerCNNSegLib.engine.store.store import install, pack_model

FILES = {
    "tinyneed/__init__.py": "ANSWER = 42\n",
    "tinyneed-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinyneed\nVersion: 1.0\n",
    "tinyneed-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


@pytest.fixture
def wheels(tmp_path):
    """A folder with one real wheel."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    lines = []
    with zipfile.ZipFile(folder / "tinyneed-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(text)}")
            wheel.writestr(name, text)
        wheel.writestr("tinyneed-1.0.dist-info/RECORD", "\n".join([*lines, "tinyneed-1.0.dist-info/RECORD,,", ""]))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("CNNSEG_OFFLINE", "1")
    return write_tiny_model(tmp_path / "made" / "tiny")


def test_one_file_takes_model_and_wheels_to_a_machine_without_network(folder, wheels, tmp_path, capsys):
    packed = tmp_path / "tiny.zip"
    assert main(["models", "pack", str(folder), "-o", str(packed), "--wheels", str(wheels)]) == 0
    assert f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}" in capsys.readouterr().out
    with zipfile.ZipFile(packed) as archive:
        archive.extract("wheels/tinyneed-1.0-py3-none-any.whl", tmp_path / "there")
    package = install(packed)
    kept = {path.name for path in package.folder.parent.rglob("*")}
    assert package.id == "tiny"
    assert "tinyneed-1.0-py3-none-any.whl" not in kept
    assert not [name for name in kept if name.startswith(".installing")]


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not there")
def test_pip_installs_what_was_packed_without_an_index(folder, wheels, tmp_path):
    pack_model(str(folder), tmp_path / "tiny.zip", wheels=wheels)
    with zipfile.ZipFile(tmp_path / "tiny.zip") as archive:
        archive.extractall(tmp_path / "there", [n for n in archive.namelist() if n.startswith("wheels/")])
    line = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(tmp_path / "there" / "wheels")]
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    done = subprocess.run(
        [*line, "--no-deps", "--target", str(tmp_path / "site"), "tinyneed"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert "ANSWER = 42" in (tmp_path / "site" / "tinyneed" / "__init__.py").read_text()


def test_the_same_model_and_wheels_give_the_same_bytes(folder, wheels, tmp_path):
    for name in ("a.zip", "b.zip"):
        pack_model(str(folder), tmp_path / name, wheels=wheels)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_what_are_no_wheels_is_told_and_nothing_is_written(folder, wheels, tmp_path):
    packed = tmp_path / "tiny.zip"
    with pytest.raises(SettingsError, match=r"Expected a folder of wheels, got .*nowhere; make one with 'pip download"):
        pack_model(str(folder), packed, wheels=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="got an empty folder"):
        pack_model(str(folder), packed, wheels=tmp_path / "empty")
    (wheels / "tool-1.0.tar.gz").write_bytes(b"code")
    with pytest.raises(SettingsError, match=r"got 'tool-1.0.tar.gz' in .*, which is none"):
        pack_model(str(folder), packed, wheels=wheels)
    (wheels / "tool-1.0.tar.gz").rename(wheels / "tool-1.0-py3-none-any.whl")
    with pytest.raises(SettingsError, match=r"got 'tool-1.0-py3-none-any.whl' in .*, which is none"):
        pack_model(str(folder), packed, wheels=wheels)
    assert not packed.exists()


@pytest.mark.skipif(os.name == "nt", reason="links are made on POSIX systems")
def test_a_linked_wheel_is_not_packed(folder, wheels, tmp_path):
    (wheel,) = wheels.iterdir()
    wheel.rename(tmp_path / wheel.name)
    wheel.symlink_to(tmp_path / wheel.name)
    with pytest.raises(ArchiveError, match="is a symbolic link"):
        pack_model(str(folder), tmp_path / "tiny.zip", wheels=wheels)
    assert not (tmp_path / "tiny.zip").exists()
