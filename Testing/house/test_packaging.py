"""The wheel holds the whole library with its models, and ``pyproject.toml`` asks for what the code imports."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (ROOT / "SlicerCNNSeg" / "SlicerCNNSegLib", ROOT / "SlicerCNNSegTrain" / "SlicerCNNSegTrainLib")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DISTRIBUTIONS = {"skimage": "scikit-image", "yaml": "PyYAML"}
"""Where a package is not imported by the name that it is installed by."""

OPTIONAL = {"distributed", "pyyaml"}
"""What the code does without, in words, where it is not installed; extras of their own ask for it."""

NEEDED_BY_MONAI = {"einops"}
"""What MONAI imports for networks that are registered, and does not bring."""

BROUGHT_BY_SLICER = {"SampleData", "slicer", "vtk", "qt", "ctk"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: building leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("SlicerCNNSeg", "SlicerCNNSegTrain"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    line = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", "wheel", "."]
    done = subprocess.run(line, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((source / "wheel").glob("cnnseg-*.whl"))


@pytest.fixture(scope="module")
def members(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_file_of_the_libraries(members):
    files = {
        path.relative_to(library.parent)
        for library in LIBRARIES
        for path in library.rglob("*.*")
        if path.suffix in (".py", ".json")
    }
    missing = sorted(path.as_posix() for path in files if path.as_posix() not in members)
    assert not missing, "add the package to [tool.setuptools] packages, or its data to package-data, in pyproject.toml"


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("SlicerCNNSeg/Resources/Models", "SlicerCNNSegLib/models"),
        ("SlicerCNNSegTrain/Resources/Recipes", "SlicerCNNSegTrainLib/recipes"),
    ],
)
def test_wheel_holds_models_and_recipes(members, folder, place):
    files = [path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert not sorted(f"{place}/{name}" for name in files if f"{place}/{name}" not in members)


def test_wheel_holds_nothing_else(members):
    tops = {name.partition("/")[0] for name in members if ".dist-info" not in name}
    assert tops == {"SlicerCNNSegLib", "SlicerCNNSegTrainLib"}


def test_an_installed_wheel_finds_its_models_and_recipes(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    # The recipes' module needs torch for another purpose than this; a stand-in saves seconds.
    probe = (
        "import sys, types\n"
        "sys.modules['SlicerCNNSegLib.engine.preprocess'] = types.SimpleNamespace(Preprocessing=None)\n"
        "from SlicerCNNSegLib.engine.catalogue import EMBEDDED_MODELS, list_models\n"
        "from SlicerCNNSegTrainLib.engine.recipe import RECIPES\n"
        "print(EMBEDDED_MODELS); print(RECIPES); print(*[entry.id for entry in list_models()])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CNNSEG_MODELS": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    models, recipes, ids = done.stdout.splitlines()
    assert Path(models) == tmp_path.resolve() / "SlicerCNNSegLib" / "models"
    assert Path(recipes) == tmp_path.resolve() / "SlicerCNNSegTrainLib" / "recipes"
    shipped = [path.name for path in (ROOT / "SlicerCNNSeg" / "Resources" / "Models").iterdir() if path.is_dir()]
    assert sorted(ids.split()) == sorted(shipped)


def imported_packages() -> set[str]:
    """What the libraries import from other distributions, lower case, as distributions are called."""
    found = set()
    for path in (path for library in LIBRARIES for path in library.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    own = {library.name for library in LIBRARIES}
    outside = found - set(sys.stdlib_module_names) - own - BROUGHT_BY_SLICER
    return {DISTRIBUTIONS.get(name, name).lower() for name in outside}


def required(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", text)[0].lower() for text in requirements}


def test_dependencies_are_what_the_code_imports():
    assert required(PROJECT["project"]["dependencies"]) == imported_packages() - OPTIONAL | NEEDED_BY_MONAI


def test_everything_that_is_asked_for_has_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"]
    asked = required([*PROJECT["project"]["dependencies"], *(text for extra in extras.values() for text in extra)])
    assert not {re.sub(r"[-_.]+", "-", name) for name in asked} - pinned - {"cnnseg"}
    assert {name.lower() for name in asked} >= OPTIONAL
    assert "torch==2.13.0" in lines
    assert not [line for line in lines if "+" in line], "a local build is not on the registry"
