"""The scene floor starts fast: its modules bring neither networks nor a user interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import SlicerCNNSegLib

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

SCENE = Path(SlicerCNNSegLib.__file__).parent / "scene"
MODULES = sorted(f"SlicerCNNSegLib.scene.{path.stem}" for path in SCENE.glob("[a-z]*.py"))
CODE = """
import importlib, json, sys
for name in {modules}:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def test_importing_the_scene_floor_loads_nothing_heavy():
    assert "SlicerCNNSegLib.scene.segmentations" in MODULES
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(modules=MODULES)],
        capture_output=True, text=True, check=True, cwd=SCENE.parents[1],
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"torch", "monai", "SimpleITK", "scipy", "qt", "ctk", "PySide6", "slicer"}
