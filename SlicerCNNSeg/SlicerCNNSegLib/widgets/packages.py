"""The Python packages that a run needs and Slicer does not bring: installed on Apply, after asking."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from ..engine.errors import PackagesError
from ..engine.store.downloads import OFFLINE, is_offline
from ..worker.processes import MODULE_FOLDER

REQUIREMENTS = MODULE_FOLDER / "Resources" / "SlicerCNNSeg-requirements.txt"
"""What both modules need."""

TORCH_REQUIREMENT = ">=2.10"
"""Older ones can run code from a weights file (CVE-2026-24747)."""


def ensure_packages(requirements: Path, requester: str) -> None:
    """Install what is missing, after asking the user.

    PyTorch comes through the PyTorch extension, which chooses the build that fits the graphics card. Where the network
    is forbidden nothing is installed.

    Parameters
    ----------
    requirements:
        File that lists the other packages.
    requester:
        Who asks, for the dialogue.

    Raises
    ------
    PackagesError
        The user declined, the PyTorch extension is not there, an installation failed, or the network is forbidden.
    """
    if is_offline():
        missing = _missing(requirements)
        if missing:
            raise PackagesError(
                f"{requester} needs {', '.join(missing)}, and the network is forbidden ({OFFLINE}); install the "
                "wheels that 'cnnseg models pack --wheels' collects on another machine."
            )
        return
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


def _missing(requirements: Path) -> list[str]:
    """PyTorch and the file's packages, those that are not there in any version."""
    lines = (line.strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    names = [found[0] for line in lines if (found := re.match(r"[A-Za-z0-9][\w.-]*", line))]
    return [name for name in ("torch", *names) if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


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
