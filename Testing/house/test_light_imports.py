"""The command line's help and the list of models load nothing heavy, and are quick."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "monai",
    "SimpleITK",
    "scipy",
    "pydicom",
    "nibabel",
    "skimage",
    "matplotlib",
    "highdicom",
    "slicer",
    "vtk",
)
LIMIT_S = 0.3
"""What the light part may cost above bare Python."""

TRIES = 5
"""The cheapest of so many counts: a busy machine only ever adds time."""

PROBE = """
import contextlib, io, sys, time
from SlicerCNNSegLib.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as output:
    status = main(sys.argv[1:])
print(time.process_time(), status, len(output.getvalue()), *sorted({name.partition(".")[0] for name in sys.modules}))
"""
BARE = "import time; print(time.process_time())"


def run_python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def cheapest_s(*arguments: str) -> float:
    """Processor time of a child process; unlike the clock's, it hardly grows with the machine's load."""
    return min(float(run_python(*arguments).split()[0]) for _ in range(TRIES))


@pytest.fixture(autouse=True)
def library_on_the_path_of_child_processes(monkeypatch, request):
    folders = [str(request.config.rootpath / name) for name in request.config.getini("pythonpath")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models", "list"],
        ["segment", "--help"],
        ["models", "list", "--json"],
        ["models", "list", "--available"],
        ["models", "install", "--help"],
    ],
)
def test_nothing_heavy_is_loaded(arguments):
    _, status, length, *loaded = run_python("-c", PROBE, *arguments).split()
    assert status == "0"
    assert int(length) > 0
    assert "SlicerCNNSegLib" in loaded
    assert not set(loaded) & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"]])
def test_it_is_quick(arguments):
    cost = cheapest_s("-c", PROBE, *arguments) - cheapest_s("-c", BARE)
    assert cost < LIMIT_S, f"cnnseg {' '.join(arguments)} takes {cost:.2f} s above bare Python"


def test_the_package_itself_loads_nothing():
    loaded = run_python("-c", "import sys, SlicerCNNSegLib; print(*sys.modules)").split()
    assert not set(loaded) & {*HEAVY, "numpy", "SlicerCNNSegLib.engine"}
