"""The Python packages that a run needs and Slicer does not bring: installed on Apply, after asking."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from ..engine.errors import PackagesError
from ..engine.store.downloads import OFFLINE, is_offline
from ..worker.processes import MODULE_FOLDER, child_python

REQUIREMENTS = MODULE_FOLDER / "Resources" / "SlicerCNNSeg-requirements.txt"
"""What both modules need."""

TORCH_REQUIREMENT = ">=2.10"
"""Older ones can run code from a weights file (CVE-2026-24747)."""

LEAST_FREE_BYTES, LEAST_FREE_WITH_TORCH_BYTES = 500_000_000, 2_500_000_000
"""Free disk space below which nothing is begun: what the listed packages take while they are unpacked, and with them
the smallest build of PyTorch. Those for graphics cards take two to three times as much, and pip says so itself."""

PROBE = ("-m", "pip", "install", "--dry-run", "--no-deps", "--quiet", "--retries", "0", "--timeout", "5")
"""Asks for a package without installing it: what counts is whether pip gets it, by its own index and proxies."""

LOG_LINES = 200
"""Of pip's output that are shown: the last ones say what failed."""


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
        The user declined, the PyTorch extension is not there, the disk is full, pip gets no packages, an installation
        failed, or the network is forbidden. pip's output is among its notes.
    """
    missing = _missing(requirements)
    if is_offline():
        if missing:
            raise PackagesError(
                f"{requester} needs {', '.join(missing)}, and the network is forbidden ({OFFLINE}); install the "
                "wheels that 'cnnseg models pack --wheels' collects on another machine."
            )
        return
    if missing:
        _check_disk("torch" in missing)
        _check_network(missing)
    if find_spec("torch") is None:
        _install_torch()
    try:
        packaging = import_module("slicer.packaging")
    except ImportError as error:
        raise PackagesError("This Slicer cannot install Python packages; CNNSeg needs Slicer 5.12.") from error
    with _listening() as log:
        try:
            packaging.pip_ensure(packaging.load_requirements(str(requirements)), requester=requester)
        except Exception as error:  # RuntimeError when declined, CalledProcessError when pip failed
            problem = PackagesError(f"The Python packages of {requester} were not installed: {error}")
            raise _with_log(problem, log) from error


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
    with _listening() as log:
        try:
            torch = torch_utils.PyTorchUtilsLogic().installTorch(
                askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
            )
        except Exception as error:  # pip's and light-the-torch's own errors have no common base
            raise _with_log(PackagesError(f"PyTorch could not be installed: {error}"), log) from error
    if torch is None:
        raise PackagesError("PyTorch is needed to run a model, and its installation was declined.")


def _check_disk(with_torch: bool) -> None:
    folder = Path(sysconfig.get_paths()["purelib"])
    free, least = shutil.disk_usage(folder).free, LEAST_FREE_WITH_TORCH_BYTES if with_torch else LEAST_FREE_BYTES
    if free < least:
        raise PackagesError(
            f"The disk of {folder} has {free / 1e9:.1f} GB free, but the missing Python packages need at least "
            f"{least / 1e9:.1f} GB; make room and apply again."
        )


def _check_network(missing: Sequence[str]) -> None:
    """Before anything is begun; PyTorch, which comes another way, tells by itself."""
    first = next((name for name in missing if name != "torch"), None)
    if first is None:
        return
    told = subprocess.run([child_python(), *PROBE, first], capture_output=True, text=True, check=False)
    if told.returncode:
        problem = PackagesError(
            f"pip cannot get the Python package {first}; connect to the network, set up pip's proxy or index, or "
            "install the wheels that 'cnnseg models pack --wheels' collects on another machine."
        )
        problem.add_note(told.stderr.strip())
        raise problem


class _Tee(io.TextIOBase):
    """Writes to where it went before, too."""

    def __init__(self, to) -> None:
        self._to, self.heard = to, ""

    def write(self, text: str) -> int:
        self.heard += text
        return self._to.write(text)


@contextmanager
def _listening() -> Iterator[_Tee]:
    """Hear what is printed; Slicer prints pip's output."""
    tee = _Tee(sys.stdout)
    with redirect_stdout(tee):
        yield tee


def _with_log(problem: PackagesError, log: _Tee) -> PackagesError:
    lines = log.heard.splitlines()[-LOG_LINES:]
    if lines:
        problem.add_note("\n".join(lines))
    return problem
