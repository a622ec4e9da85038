"""Installing on Apply: every way in which it does not succeed is said in words."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from SlicerCNNSegLib.engine.errors import PackagesError
from SlicerCNNSegLib.widgets import packages
from SlicerCNNSegLib.widgets.packages import ensure_packages

CHECK_NETWORK = packages._check_network
REQUIREMENTS = Path(packages.__file__).parents[2] / "Resources" / "SlicerCNNSeg-requirements.txt"


class Modules:
    """In the place of ``import_module``: gives what it was given, else there is no such module."""

    def __init__(self, monkeypatch, *, torch_installed=True, **known):
        self.known, self.asked = known, []
        monkeypatch.setattr(packages, "import_module", self)
        monkeypatch.setattr(packages, "find_spec", lambda name: object() if torch_installed else None)
        monkeypatch.setattr(packages, "_check_network", lambda missing: None)

    def __call__(self, name):
        self.asked.append(name)
        try:
            return self.known[name.removeprefix("slicer.")]
        except KeyError:
            raise ImportError(name) from None


def a_packaging(ensure=lambda requirements, requester: None):
    return SimpleNamespace(load_requirements=lambda path: path, pip_ensure=ensure)


def a_torch_extension(install):
    return SimpleNamespace(PyTorchUtilsLogic=lambda: SimpleNamespace(installTorch=install))


def test_what_is_asked_for(monkeypatch):
    asked = []
    torch = a_torch_extension(lambda **options: asked.append(options) or "torch")
    packaging = a_packaging(lambda requirements, requester: asked.append((requirements, requester)))
    Modules(monkeypatch, torch_installed=False, packaging=packaging, PyTorchUtils=torch)
    ensure_packages(REQUIREMENTS, "CNNSeg")
    assert asked == [
        {"askConfirmation": True, "torchVersionRequirement": ">=2.10"},
        (str(REQUIREMENTS), "CNNSeg"),
    ]


def test_torch_is_not_asked_for_when_it_is_there(monkeypatch):
    modules = Modules(monkeypatch, packaging=a_packaging())
    ensure_packages(REQUIREMENTS, "CNNSeg")
    assert modules.asked == ["slicer.packaging"]


def test_no_pytorch_extension(monkeypatch):
    Modules(monkeypatch, torch_installed=False, packaging=a_packaging())
    with pytest.raises(PackagesError, match="install the PyTorch extension and restart Slicer"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_pytorch_declined(monkeypatch):
    Modules(monkeypatch, torch_installed=False, PyTorchUtils=a_torch_extension(lambda **_: None))
    with pytest.raises(PackagesError, match="its installation was declined"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_pytorch_fails(monkeypatch):
    def fail(**_):
        raise OSError("disk full")

    Modules(monkeypatch, torch_installed=False, PyTorchUtils=a_torch_extension(fail))
    with pytest.raises(PackagesError, match="PyTorch could not be installed: disk full"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_a_slicer_that_is_too_old(monkeypatch):
    Modules(monkeypatch)
    with pytest.raises(PackagesError, match=r"CNNSeg needs Slicer 5\.12"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_pip_fails(monkeypatch):
    def fail(requirements, requester):
        raise RuntimeError("pip says no")

    Modules(monkeypatch, packaging=a_packaging(fail))
    with pytest.raises(PackagesError, match="packages of CNNSeg were not installed: pip says no"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_nothing_that_slicer_brings_is_listed():
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    names = {line.partition(">")[0] for line in lines}
    assert names >= {"monai", "safetensors", "nibabel", "psutil"}
    assert not names & {"torch", "numpy", "scipy", "SimpleITK", "pydicom", "highdicom", "vtk"}


def test_where_the_network_is_forbidden_nothing_is_installed(monkeypatch, tmp_path):
    modules = Modules(monkeypatch, packaging=a_packaging())
    monkeypatch.setenv("CNNSEG_OFFLINE", "1")
    ensure_packages(REQUIREMENTS, "CNNSeg")  # all of them are here
    (tmp_path / "more.txt").write_text("# what else\nnumpy>=1\nno-such-package-of-cnnseg>=2\n")
    with pytest.raises(PackagesError, match=r"CNNSeg needs no-such-package-of-cnnseg, and the network is forbidden"):
        ensure_packages(tmp_path / "more.txt", "CNNSeg")
    assert modules.asked == []


def missing_packages(monkeypatch, *names):
    monkeypatch.setattr(packages, "_missing", lambda requirements: list(names))


def never(*_args, **_options):
    raise AssertionError("nothing may be begun")


def test_a_full_disk_is_told_before_anything_is_asked(monkeypatch):
    Modules(monkeypatch, packaging=a_packaging(never))
    missing_packages(monkeypatch, "monai")
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda folder: SimpleNamespace(free=400_000_000))
    with pytest.raises(PackagesError, match=r"has 0\.4 GB free, but .* need at least 0\.5 GB; make room"):
        ensure_packages(REQUIREMENTS, "CNNSeg")
    missing_packages(monkeypatch, "torch")
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000_000))
    with pytest.raises(PackagesError, match=r"at least 2\.5 GB"):
        ensure_packages(REQUIREMENTS, "CNNSeg")


def test_a_network_that_is_not_there_is_told_before_anything_is_asked(monkeypatch):
    asked, pip = [], SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution found for monai\n")
    Modules(monkeypatch, packaging=a_packaging(lambda requirements, requester: asked.append(requester)))
    monkeypatch.setattr(packages, "_check_network", CHECK_NETWORK)
    missing_packages(monkeypatch, "torch", "monai", "nibabel")
    commands = []
    monkeypatch.setattr(packages.subprocess, "run", lambda command, **_: commands.append(command) or pip)
    with pytest.raises(PackagesError, match=r"pip cannot get the Python package monai; connect to the network") as told:
        ensure_packages(REQUIREMENTS, "CNNSeg")
    assert told.value.__notes__ == ["ERROR: No matching distribution found for monai"]
    assert asked == []
    assert {"--dry-run", "monai"} < set(commands[0])
    pip.returncode = 0
    ensure_packages(REQUIREMENTS, "CNNSeg")
    assert asked == ["CNNSeg"]


def test_pip_is_asked_whether_it_gets_a_package(monkeypatch):
    """The real pip, kept from any network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    Modules(monkeypatch, packaging=a_packaging(never))
    monkeypatch.setattr(packages, "_check_network", CHECK_NETWORK)
    missing_packages(monkeypatch, "no-such-package-of-cnnseg")
    with pytest.raises(PackagesError, match="pip cannot get the Python package no-such-package-of-cnnseg") as told:
        ensure_packages(REQUIREMENTS, "CNNSeg")
    assert "No matching distribution found for no-such-package-of-cnnseg" in told.value.__notes__[0]


def test_without_anything_missing_neither_disk_nor_network_is_looked_at(monkeypatch):
    Modules(monkeypatch, packaging=a_packaging())
    missing_packages(monkeypatch)
    monkeypatch.setattr(packages, "_check_network", never)
    monkeypatch.setattr(packages.shutil, "disk_usage", never)
    ensure_packages(REQUIREMENTS, "CNNSeg")


def test_pips_output_is_the_details_of_its_failure(a_panel, a_volume, monkeypatch, capsys):
    def fail(requirements, requester):
        print("Collecting monai\nERROR: No matching distribution found for monai")
        raise RuntimeError("pip ended with status 1")

    Modules(monkeypatch, packaging=a_packaging(fail))
    a_volume()
    a_panel.ui.applyButton.click()
    ui = a_panel.ui
    assert ui.statusLabel.text == "The Python packages of CNNSeg were not installed: pip ended with status 1"
    assert ui.detailsText.plainText == "Collecting monai\nERROR: No matching distribution found for monai"
    assert ui.detailsButton.visible
    assert "ERROR: No matching" in capsys.readouterr().out, "and in Slicer's console, as before"
