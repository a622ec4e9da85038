"""The Python packages that a run needs and Slicer does not bring: installed on Apply, after asking."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ..engine.errors import PackagesError
from ..worker.processes import MODULE_FOLDER

REQUIREMENTS = MODULE_FOLDER / "Resources" / "SlicerCNNSeg-requirements.txt"
"""What both modules need."""

TORCH_REQUIREMENT = ">=2.10"
"""Older ones can run code from a weights file (CVE-2026-24747)."""


def ensure_packages(requirements: Path, requester: str) -> None:
    """Install what is missing, after asking the user.

    PyTorch comes through the PyTorch extension, which chooses the build that fits the graphics card.

    Parameters
    ----------
    requirements:
        File that lists the other packages.
    requester:
        Who asks, for the dialogue.

    Raises
    ------
    PackagesError
        The user declined, the PyTorch extension is not there, or an installation failed.
    """
    if find_spec("torch") is None:
        _install_torch()
    try:
        packaging = import_module("slicer.packaging")
    except ImportError as error:
        raise PackagesError("This Slicer cannot install Python packages; CNNSeg needs Slicer 5.12.") from error
    try:
        packaging.pip_ensure(packaging.load_requirements(str(requirements)), requester=requester)
    except Exception as error:  # RuntimeError when declined, CalledProcessError when pip failed
        raise PackagesError(f"The Python packages of {requester} were not installed: {error}") from error


def _install_torch() -> None:
    try:
        torch_utils = import_module("PyTorchUtils")
    except ImportError as error:
        raise PackagesError("PyTorch is missing; install the PyTorch extension and restart Slicer.") from error
    try:
        torch = torch_utils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
        )
    except Exception as error:  # pip's and light-the-torch's own errors have no common base
        raise PackagesError(f"PyTorch could not be installed: {error}") from error
    if torch is None:
        raise PackagesError("PyTorch is needed to run a model, and its installation was declined.")
