"""The floors of ``docs/architecture.md`` hold: its two tables are read, and every import is held against them."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
ENGINE = "SlicerCNNSegLib.engine"
MODULE_FOLDERS = ("SlicerCNNSeg", "SlicerCNNSegTrain")


@dataclass(frozen=True)
class Floor:
    """One row of the table of floors."""

    name: str
    pattern: str
    own: frozenset[str]
    at_once: frozenset[str]
    when_used: frozenset[str]

    @property
    def is_heavy(self) -> bool:
        return self.name.endswith(", heavy")

    @property
    def family(self) -> str:
        """The name that other rows use: both halves of the engine are ``engine``."""
        return self.name.partition(",")[0]


@dataclass(frozen=True)
class Import:
    """One import statement's target; ``lazy`` when it stands inside a function."""

    target: str
    lazy: bool
    line: int


@dataclass
class Imports(ast.NodeVisitor):
    """Collects a module's imports; those for type checkers alone are left out."""

    module: str
    is_package: bool
    known: frozenset[str]
    found: list[Import] = field(default_factory=list)
    depth: int = 0

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self.module.split(".")[: None if self.is_package else -1]
            parents = parents[: len(parents) - node.level + 1]
            base = ".".join([*parents, *([base] if base else [])])
        for alias in node.names:
            name = f"{base}.{alias.name}"
            self._add(name if name in self.known else base, node)

    def _add(self, target: str, node: ast.stmt) -> None:
        self.found.append(Import(target, self.depth > 0, node.lineno))


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the page, without its header."""
    section = PAGE.read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    lines = [
        line for line in re.split(r"^#", section, maxsplit=1, flags=re.MULTILINE)[0].splitlines() if line[:1] == "|"
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`([^`]+)`", cell))


@cache
def floors() -> list[Floor]:
    return [Floor(r[0], min(names(r[1])), names(r[2]), names(r[3]), names(r[4])) for r in rows("## Floors")]


@cache
def engine_modules() -> dict[str, tuple[str, frozenset[str]]]:
    """Weight, and what may be imported when used, of each module of the engine."""
    table = rows("### The engine's modules")
    return {name: (weight, names(lazy)) for modules, weight, _, lazy in table for name in names(modules)}


def module_name(path: Path) -> str:
    """The dotted name of a file: below its module folder, which is on the path."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for folder in MODULE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def short(module: str) -> str:
    """An engine module's name in the table."""
    return module.removeprefix(f"{ENGINE}.")


def weight_of(module: str) -> str:
    """``light`` or ``heavy``; everything outside the engine is as heavy as its floor."""
    if module.startswith(f"{ENGINE}."):
        assert short(module) in engine_modules(), f"add {short(module)!r} to the table of modules in {PAGE.name}"
        return engine_modules()[short(module)][0]
    return "heavy" if floor_of(module).is_heavy else "light"


@cache
def floor_of(module: str) -> Floor:
    path = modules()[module]
    here = [floor for floor in floors() if path in set(ROOT.glob(floor.pattern))]
    if module.startswith(f"{ENGINE}."):
        here = [floor for floor in here if floor.name == f"engine, {weight_of(module)}"]
    elif module == ENGINE:
        here = [floor for floor in here if not floor.is_heavy]
    assert len(here) == 1, f"{path} must be on one floor of {PAGE.name}, is on {[floor.name for floor in here]}"
    return here[0]


def imports_of(source: str, module: str, *, is_package: bool = False) -> list[Import]:
    visitor = Imports(module, is_package, frozenset(modules()))
    visitor.visit(ast.parse(source))
    return visitor.found


@cache
def imports(module: str) -> list[Import]:
    path = modules()[module]
    return imports_of(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")


def fault(module: str, found: Import) -> str:
    """Why an import is not allowed, or ""."""
    floor, target = floor_of(module), found.target
    if target in modules():
        return own_fault(module, floor, found)
    package = target.partition(".")[0]
    lazy = floor.when_used
    if floor.name == "engine, light" and module != ENGINE:
        lazy = engine_modules()[short(module)][1]
    if package in sys.stdlib_module_names or package in floor.at_once or (found.lazy and package in lazy):
        return ""
    return (
        f"{package} may {'not be imported' if found.lazy else 'not be imported at file scope'} on floor {floor.name!r}"
    )


def own_fault(module: str, floor: Floor, found: Import) -> str:
    """Why an import of this project's own code is not allowed, or ""."""
    other, heavy = floor_of(found.target), weight_of(found.target) == "heavy"
    if other.family != floor.family and not {other.family, f"{other.family}:light"} & floor.own:
        return f"floor {floor.name!r} may not import floor {other.name!r}"
    if not heavy or floor.is_heavy:
        return ""
    if not found.lazy:
        return f"{found.target} is heavy: import it inside a function"
    if floor.name == "engine, light":
        return "" if short(found.target) in engine_modules()[short(module)][1] else f"{found.target} is not in its row"
    return "" if other.family in floor.own else f"{found.target} is heavy, floor {floor.name!r} takes light modules"


def test_tables_name_every_module_of_the_engine_and_no_other():
    present = {short(module) for module in modules() if module.startswith(f"{ENGINE}.")}
    assert set(engine_modules()) == present
    assert {weight for weight, _ in engine_modules().values()} == {"light", "heavy"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_obey_the_floors(module):
    faults = [f"line {found.line}: {why}" for found in imports(module) if (why := fault(module, found))]
    assert not faults, f"\n{modules()[module]}\n" + "\n".join(faults)


def test_no_modules_import_each_other_in_a_round():
    graph = {
        module: {found.target for found in imports(module) if found.target in modules()} - {module}
        for module in modules()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the round


def test_scene_floors_are_handed_their_scene():
    forbidden = {"slicer.mrmlScene", "slicer.app", "slicer.modules"}
    for module, path in modules().items():
        if floor_of(module).name in ("scene", "training scene"):
            used = {
                ast.unparse(n) for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Attribute)
            }
            assert not used & forbidden, module


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("engine.volume", "import torch", "not be imported at file scope"),
        ("engine.volume", "def f():\n    import vtk", "vtk may not be imported"),
        ("engine.labels", "def f():\n    import torch", "torch may not be imported"),
        ("engine.run", "from .segment import segment", "heavy: import it inside a function"),
        ("engine.labels", "def f():\n    from . import segment", "not in its row"),
        ("engine.segment", "import slicer", "slicer may not be imported"),
        ("engine.segment", "from ..scene import volumes", "may not import floor 'scene'"),
        (
            "engine.segment",
            "from SlicerCNNSegTrainLib.engine import training",
            "may not import floor 'training engine",
        ),
        ("engine.segment", "import Testing", "Testing may not be imported"),
        ("cli.segment", "from ..engine import segment", "heavy: import it inside a function"),
        ("cli.segment", "from ..scene.volumes import volume_from_node", "may not import floor 'scene'"),
        ("scene.volumes", "import qt", "qt may not be imported"),
        ("scene.volumes", "def f():\n    from ..engine.segment import segment", "takes light modules"),
        ("widgets.lines", "import torch", "torch may not be imported"),
    ],
)
def test_a_breach_is_found(module, source, why):
    module = f"SlicerCNNSegLib.{module}"
    assert any(why in fault(module, found) for found in imports_of(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.volume", "import json\nimport numpy\nfrom .errors import CNNSegError"),
        ("engine.volume", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("engine.run", "def f():\n    from .segment import segment"),
        ("engine.files.images", "from ..volume import Volume\nimport SimpleITK"),
        ("cli.evaluate", "def f():\n    from ..engine.evaluation import evaluate_folders"),
    ],
)
def test_what_is_allowed_is_no_breach(module, source):
    module = f"SlicerCNNSegLib.{module}"
    assert not [why for found in imports_of(source, module) if (why := fault(module, found))]
