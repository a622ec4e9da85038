"""Installing on Apply: every way in which it does not succeed is said in words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from SlicerCNNSegLib.engine.errors import PackagesError
from SlicerCNNSegLib.widgets import packages
from SlicerCNNSegLib.widgets.packages import ensure_packages

REQUIREMENTS = Path(packages.__file__).parents[2] / "Resources" / "SlicerCNNSeg-requirements.txt"


class Modules:
    """In the place of ``import_module``: gives what it was given, else there is no such module."""

    def __init__(self, monkeypatch, *, torch_installed=True, **known):
        self.known, self.asked = known, []
        monkeypatch.setattr(packages, "import_module", self)
        monkeypatch.setattr(packages, "find_spec", lambda name: object() if torch_installed else None)

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
