"""The command line's help and the list of models load nothing heavy, and are quick."""

from __future__ import annotations

import os
import subprocess
import sys
import time

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

TRIES = 7
"""The fastest of so many counts: a busy machine only ever adds time."""

PROBE = """
import contextlib, io, sys
from SlicerCNNSegLib.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as output:
    status = main(sys.argv[1:])
print(status, len(output.getvalue()), *sorted(name.partition(".")[0] for name in sys.modules))
"""


def run_python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def fastest_s(*arguments: str) -> float:
    seconds = []
    for _ in range(TRIES):
        start = time.perf_counter()
        run_python(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.fixture(autouse=True)
def library_on_the_path_of_child_processes(monkeypatch, request):
    folders = [str(request.config.rootpath / name) for name in request.config.getini("pythonpath")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["models", "list"], ["segment", "--help"], ["models", "list", "--json"]]
)
def test_nothing_heavy_is_loaded(arguments):
    status, length, *loaded = run_python("-c", PROBE, *arguments).split()
    assert status == "0"
    assert int(length) > 0
    assert "SlicerCNNSegLib" in loaded
    assert not set(loaded) & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"]])
def test_it_is_quick(arguments):
    # numpy is the one package of the light part; "-c pass" starts with the same site-packages.
    cost = fastest_s("-c", PROBE, *arguments) - fastest_s("-c", "pass")
    assert cost < LIMIT_S, f"cnnseg {' '.join(arguments)} takes {cost:.2f} s above bare Python"


def test_the_package_itself_loads_nothing():
    loaded = run_python("-c", "import sys, SlicerCNNSegLib; print(*sys.modules)").split()
    assert not set(loaded) & {*HEAVY, "numpy", "SlicerCNNSegLib.engine"}
