"""The file lists in the modules' CMakeLists.txt: read them, compare them with the folder, write them anew.

``python3 Testing/house/cmake_lists.py`` rewrites both lists; ``test_cmake_lists.py`` proves that they are right.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = (ROOT / "SlicerCNNSeg", ROOT / "SlicerCNNSegTrain")
SCRIPTS, RESOURCES = "MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"
_LIST = r"set\({name}\n(.*?)\n?  \)"


def listed_files(module: Path, name: str) -> list[str]:
    """What the list ``name`` of a module holds, with ``${MODULE_NAME}`` filled in."""
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(_LIST.format(name=name), text, re.DOTALL)
    if match is None:
        raise ValueError(f"Expected set({name} ...) in {module.name}/CMakeLists.txt, found none.")
    return [line.strip() for line in match[1].replace("${MODULE_NAME}", module.name).splitlines() if line.strip()]


def present_files(module: Path, name: str) -> list[str]:
    """What the list ``name`` should hold: the folder's Python files, or all its other files, sorted."""
    files = (path for path in module.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(
        path.relative_to(module).as_posix()
        for path in files
        if path.name != "CMakeLists.txt" and (path.suffix == ".py") == (name == SCRIPTS)
    )


def write_lists(module: Path) -> None:
    """Bring both lists of a module up to what the folder holds."""
    path = module / "CMakeLists.txt"
    text = path.read_text(encoding="utf-8")
    for name in (SCRIPTS, RESOURCES):
        lines = "".join(f"  {file}\n" for file in present_files(module, name))
        text = re.sub(_LIST.format(name=name), f"set({name}\n{lines}  )", text, flags=re.DOTALL)
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for folder in MODULES:
        write_lists(folder)
