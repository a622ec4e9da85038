"""Slicer gets every file of the modules, and the index entry is in order."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = runpy.run_path(str(Path(__file__).with_name("cmake_lists.py")))


@pytest.mark.parametrize("name", [LISTS["SCRIPTS"], LISTS["RESOURCES"]])
@pytest.mark.parametrize("module", LISTS["MODULES"], ids=lambda path: path.name)
def test_every_file_of_a_module_is_listed(module, name):
    listed, present = LISTS["listed_files"](module, name), LISTS["present_files"](module, name)
    missing, gone = sorted(set(present) - set(listed)), sorted(set(listed) - set(present))
    assert listed == present, (
        f"\n{name} in {module.name}/CMakeLists.txt; run 'python3 Testing/house/cmake_lists.py', or"
        "\nadd:    " + "\n        ".join(missing or ["-"]) + "\nremove: " + "\n        ".join(gone or ["-"])
    )


def test_a_file_that_is_not_listed_is_found_and_written(tmp_path):
    module = tmp_path / "SlicerThing"
    (module / "SlicerThingLib").mkdir(parents=True)
    (module / "SlicerThingLib" / "new.py").touch()
    (module / "SlicerThing.py").touch()
    (module / "notes.txt").touch()
    (module / "CMakeLists.txt").write_text(
        "set(MODULE_PYTHON_SCRIPTS\n  ${MODULE_NAME}.py\n  gone.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  )\n"
    )
    assert LISTS["listed_files"](module, LISTS["SCRIPTS"]) == ["SlicerThing.py", "gone.py"]
    LISTS["write_lists"](module)
    assert LISTS["listed_files"](module, LISTS["SCRIPTS"]) == ["SlicerThing.py", "SlicerThingLib/new.py"]
    assert LISTS["listed_files"](module, LISTS["RESOURCES"]) == ["notes.txt"]


def test_a_module_without_lists_is_refused(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text("project(Nothing)\n")
    with pytest.raises(ValueError, match=r"Expected set\(MODULE_PYTHON_SCRIPTS"):
        LISTS["listed_files"](tmp_path, LISTS["SCRIPTS"])


def test_extension_builds_both_modules_and_the_tests():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for folder in [*(module.name for module in LISTS["MODULES"]), "Testing"]:
        assert f"add_subdirectory({folder})" in text
        assert (ROOT / folder / "CMakeLists.txt").is_file()


def test_index_entry_has_the_keys_that_the_index_asks_for():
    raw = (ROOT / "CNNSeg.json").read_bytes()
    entry = json.loads(raw)
    assert b"\r" not in raw
    assert raw.endswith(b"}\n")
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["category"] == "Segmentation"
    assert entry["scm_url"].startswith("https://")
    assert entry["build_dependencies"] == ["PyTorch"]
    # The schema allows no other keys than these.
    assert set(entry) <= {
        "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "dicom_support_rule",
        "build_subdirectory", "enabled", "tier",
    }  # fmt: skip


@pytest.mark.parametrize(
    "icon", ["Resources/CNNSeg.png", *(f"{m.name}/Resources/Icons/{m.name}.png" for m in LISTS["MODULES"])]
)
def test_icons_have_the_size_that_slicer_asks_for(icon):
    header = (ROOT / icon).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(header[i : i + 4], "big") for i in (16, 20)] == [128, 128]
