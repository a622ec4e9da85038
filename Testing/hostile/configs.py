"""Hostile configs of bundles, and a run of all of them under watch.

They want to run code, to read or write files, to reach the network, or to take all time and memory. Each has the id
that is asked for and a pattern of the reason that the refusal must give.

As a program (``python -m hostile.configs FOLDER``) it writes them into a folder, reads each with CNNSeg in this one
process under an audit hook, and prints what happened as one JSON object per line. Each is read in three ways: with what
the tables allow, as the list of models looks a bundle through (nothing is made), and as the run of a bundle reads it.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from . import config_costs  # noqa: F401 - registers its own
from .config_making import ARTEFACTS, ASKED, MARK, Artefact, add, expression, target, yaml

STRICT, LIGHT, BUNDLE = "strict", "light", "bundle"
QUIET = ("compile", "builtins.id", "object.__getattr__", "gc.", "sys._getframe", "time.", "cpython.PyConfig")
"""Audit events that mean nothing here: ``compile`` is the parsing of an expression, which is never executed."""

# Statements and imports
expression("import_as_value", "import os", "asks for an import statement")
expression("import_then_call", f"os.system('touch {MARK}')", r"asks for os\.system", "os")
expression("import_alias", f"torch.device('touch {MARK}')", r"asks for subprocess\.device", "subprocess as torch")
add("import_from", f"$device('touch {MARK}')", r"asks for os\.system", imports=["$from os import system as device"])
expression("import_builtin", f"__import__('os').system('touch {MARK}')", "asks for the name __import__")
expression("two_statements", f"1; open('{MARK}', 'w')", "expected one expression, got 2")
expression("assignment", "os = 1", "asks for a statement")
expression("importlib", "importlib.import_module('os')", r"asks for importlib\.import_module", "importlib")
expression("own_script", "scripts.run.main()", r"asks for scripts\.run\.main", "scripts.run")

# Builtins
for call in (
    f'eval(\'open("{MARK}", "w")\')',
    f'exec(\'open("{MARK}", "w")\')',
    "compile('1', '', 'eval')",
    f"open('{MARK}', 'w')",
    "getattr(1, 'real')",
    "setattr(torch, 'a', 1)",
    "vars()",
    "globals()",
    "locals()",
    "type('A', (), {})",
    "map(len, [[1]])",
    "breakpoint()",
    "input()",
    "dir()",
    "object()",
):
    name = call.partition("(")[0]
    expression(f"builtin_{name}", call, f"asks for {name} ")

# Walks from harmless values
expression("subclasses", "().__class__.__bases__[0].__subclasses__()", "asks for the name __subclasses__")
expression("class_of_text", "''.__class__", "asks for the name __class__")
expression("mro", "[].__class__.__mro__", "asks for the name __mro__")
expression("function_globals", "len.__self__", "asks for the name __self__")
expression("dunder_in_alias", "torch.__builtins__['eval']('1')", "a call of a value|the name __builtins__")
expression("underscore", "torch._C", "asks for the name _C")
expression("generator_frame", "(x for x in [1]).gi_frame", "asks for a generator expression")
expression("comprehension_walk", "[x.__class__ for x in [1]][0]", "asks for the name __class__")
expression("comprehension_function", "[f('1') for f in [eval]]", "a call of a value|asks for eval")
expression("comprehension_target", "[1 for torch.load in [1]]", "an assignment to an item or attribute")
expression("hidden_name", "[1 for __builtins__ in [1]]", "asks for the name __builtins__")
expression("f_string", "f'{().__class__}'", "asks for an f-string")
expression("format_walk", "'{0.__class__.__init__.__globals__}'.format(1)", "asks for the method format")
expression("format_map", "'{a}'.format_map({'a': 1})", "asks for the method format_map")
expression("percent_format", "'%1000000000d' % 1", "asks for Mod of str")
expression("lambda_call", f"(lambda: open('{MARK}', 'w'))()", "a call of a lambda")
expression("lambda_value", "lambda x: x", "asks for a lambda")
expression("walrus", "[y := 1, y]", "an assignment")
expression("call_of_item", "[len][0]([1])", "a call of a value")
expression("starred_dunder", "dict(**{'__class__': 1})", "asks for the name __class__")
expression("method_of_dict", "{}.pop('a', 1)", "asks for the method pop")
expression("bytes", "b'a'.decode()", "a value of type bytes")
add("reference_in_text", "$'@a'", "a reference inside a text", a=1)
add("call_of_reference", "$@a('1')", "a call of a value", a="eval")
add("walk_from_reference", "$@a.__class__", "the name __class__", a=1)

# Functions of the allowed modules that are not allowed
for call in (
    "torch.load('model.pt')",
    "torch.load('model.pt', weights_only=False)",
    "torch.hub.load('a/b', 'c')",
    "torch.hub.load_state_dict_from_url('http://localhost/a')",
    "torch.jit.load('a.ts')",
    "torch.save({}, 'MARK')",
    "torch.os.system('touch MARK')",
    "torch.utils.cpp_extension.load('a', [])",
    "torch.ops.load_library('a.so')",
    "torch.package.PackageImporter('a')",
    "torch.multiprocessing.spawn(1)",
    "numpy.load('a.npy', allow_pickle=True)",
    "np.lib.npyio.NpzFile('a')",
    "np.fromfile('/etc/hostname')",
    "np.array([1]).tofile('MARK')",
    "np.memmap('MARK', mode='w+', shape=(1,))",
    "np.ctypeslib.load_library('a', '.')",
    "np.f2py.os.system('touch MARK')",
    "monai.bundle.run('a')",
    "monai.bundle.load('a')",
    "monai.utils.misc.os.system('touch MARK')",
    "monai.utils.optional_import('os')",
    "monai.utils.module.locate('os.system')",
    "monai.apps.download_url('http://localhost/a', 'MARK')",
    "monai.apps.utils.extractall('a.zip', '/')",
    "monai.data.load_decathlon_datalist('/etc/passwd')",
    "os.listdir('/')",
    "os.environ",
    "os.path.exists('/etc/passwd')",
    "glob.glob('/etc/*')",
    "pathlib.Path('MARK').touch()",
    "logging.config.fileConfig('logging.conf')",
    "pickle.loads('')",
    "subprocess.run(['touch', 'MARK'])",
    "socket.create_connection(('localhost', 1))",
    "json.load('a')",
):
    path = call.partition("(")[0].replace("np.", "numpy.")
    module = path.rpartition(".")[0].replace("os.path", "os")
    expression(f"call_{path}_{len(ARTEFACTS)}", call, f"asks for ({re.escape(path)}|[a-z.]+) in|the method", module)

# Components
for path, arguments in (
    ("os.system", {"command": f"touch {MARK}"}),
    ("builtins.eval", {"source": "1"}),
    ("eval", {"source": "1"}),
    ("subprocess.Popen", {"args": ["touch", MARK]}),
    ("torch.load", {"f": "model.pt"}),
    ("torch.hub.load", {"repo_or_dir": "a/b", "model": "c"}),
    ("monai.bundle.run", {"run_id": "a"}),
    ("monai.bundle.ConfigParser", {"config": {"a": "$import os"}}),
    ("monai.utils.misc.os.system", {"command": f"touch {MARK}"}),
    ("monai.transforms.compose.os.system", {"command": f"touch {MARK}"}),
    ("monai.networks.nets.torch.load", {"f": "model.pt"}),
    ("Lambdad", {"keys": "image", "func": "$len"}),
    ("CheckpointLoader", {"load_path": "model.pt", "load_dict": {}}),
    ("DataLoader", {"dataset": [1], "num_workers": 2}),
    ("CSVSaver", {"output_dir": "out"}),
    ("PersistentDataset", {"data": [], "transform": None, "cache_dir": MARK}),
    ("TorchVisionFCModel", {"model_name": "load"}),
    ("logging.config.fileConfig", {"fname": "logging.conf"}),
    ("ctypes.CDLL", {"name": "libc.so.6"}),
    ("functools.partial", {"func": "$len"}),
    ("", {}),
):
    target(f"target_{path}", path, "asks for ", **arguments)
target("pretrained", "EfficientNetBN", "asks for EfficientNetBN with pretrained=True", model_name="efficientnet-b0")
add("pretrained_position", "$monai.networks.nets.resnet50(True)", "asks for resnet50 with pretrained=True")
target("mode_debug", "UNet", "asks for _mode_ debug", _mode_="debug")
target("mode_callable", "UNet", "asks for _mode_ callable", _mode_="callable")
target("debug_key", "Identity", "asks for the key _debug_", _debug_=True)
add("computed_target", {"_target_": "$eval", "source": "1"}, "asks for the computed _target_")
add("referred_target", {"_target_": "@name", "source": "1"}, "asks for the computed _target_", name="os.system")
add("target_is_a_list", {"_target_": ["os.system"]}, "asks for the computed _target_")
add(
    "reader_by_name",
    ["$@a.reader", {"_target_": "LoadImaged", "keys": "a"}],
    "the attribute reader",
    a={"_target_": "LoadImaged", "keys": "a", "reader": "os.system", "command": f"touch {MARK}"},
)

UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1}

# Names in other letters, aliases, walks through what is allowed
expression("letters_that_look_alike", f'\uff45val(\'open("{MARK}", "w")\')', "asks for eval")
ARTEFACTS["alias_of_a_builtin"] = Artefact(
    json.dumps({"imports": ["$from builtins import eval as len"], ASKED: "$len('1')"}), r"asks for builtins\.eval"
)
expression("relative_import", "run('1')", r"asks for \.run|asks for run", "scripts")
expression("initialiser_of_a_component", "monai.transforms.Compose.__init__", "the name __init__")
add(
    "attribute_of_a_component",
    "$@a.transforms",
    "the attribute transforms",
    a={"_target_": "Compose", "transforms": []},
)
add("method_of_a_module", "$@a.load_state_dict({})", "the method load_state_dict", a={"_target_": "Identity"})
add("method_apply", "$@a.apply(@a)", "the method apply", a={**UNET, "channels": [2, 2], "strides": [2]})
add("requires_code", {"_target_": "Identity", "_requires_": f"$open('{MARK}', 'w')"}, "asks for open")
add("disabled_by_code", {"_target_": "Identity", "_disabled_": f"$open('{MARK}', 'w')"}, "asks for open")
add("mode_by_expression", {"_target_": "Identity", "_mode_": "$'debug'"}, "asks for _mode_")
add("activation_by_dotted_name", {**UNET, "channels": [2, 2], "strides": [2], "act": "os.system"}, "cannot be made")

# Too much
for name, source, reason in (
    ("exponent", "9**9**9", "a power of more than"),
    ("exponent_by_steps", "(2**200)**(2**200)", "a power of more than"),
    ("float_exponent", "9.9**99999.9", "fails with OverflowError"),
    ("shift", "1 << 10**10", "a shift by more than"),
    ("factor", "2**200 * 2**200", "more than 256 bits"),
    ("text", "'a' * 10**9", "items or characters"),
    ("list", "[0] * 10**9", "items or characters"),
    ("list_of_lists", "[[0] * 20000] * 20000", "counted through references"),
    ("range", "list(range(10**12))", "counted through references"),
    ("loop", "[0 for a in range(10**9)]", "items or characters"),
    ("idle_loop", "[0 for a in range(10**9) if a < 0]", "more work than"),
    ("loops", "[0 for a in range(10**4) for b in range(10**4) if a < 0 and b < 0]", "more work than"),
    ("sum_of_lists", "sum([[1]] * 2000, [])", "expected numbers"),
    ("round", "round(1, -10**9)", "expected at most 20 digits"),
    ("digits", "int('9' * 5000)", "fails with ValueError"),
    ("path", "os.path.join(*['a' * 20000] * 10000)", "characters, counted through references"),
    ("array", "numpy.array([['a' * 20000, 'b']])", "expected numbers"),
    ("array_type", "numpy.array([1], dtype='S1000000000')", "expected a number type"),
    ("arrays", "numpy.array([numpy.array([0] * 15000)] * 15000)", "counted through references"),
    ("brackets", "(" * 500 + ")" * 500, "no valid expression"),
    ("minuses", "-" * 1900 + "1", "no valid expression|nested more than"),
    ("sums", "+".join(["1"] * 900), "nested more than"),
    ("long", "1" + " + 1" * 3000, "an expression of"),
):
    expression(f"too_much_{name}", source, reason)
add("huge_network", {**UNET, "channels": [100000, 200000], "strides": [2]}, "a network of more than|cannot be made")
target("deep_network", "SegResNet", "a network of more than", blocks_down=[10**6], blocks_up=[], init_filters=8)
target("endless_network", "SegResNet", "asks for SegResNet with blocks_down=1000000000", blocks_down=[10**9])
target("drop_path_table", "SwinUNETR", "asks for SwinUNETR with depths", in_channels=1, out_channels=1, depths=[10**9])
target("window", "SwinUNETR", "asks for SwinUNETR with window_size", in_channels=1, out_channels=1, window_size=60)
target("topology", "TopologyInstance", "asks for TopologyInstance with num_depths", num_depths=30)
target("number_type", "EnsureTyped", "with the number type", keys="a", dtype="(100000, 100000)f8")
target("many_numbers", "Spacingd", "counted through references", keys=["$'a' * 20000"] * 60, pixdim=[1] * 15000)
add("huge_array_in_component", {**UNET, "channels": "$[8] * 10**8", "strides": [2]}, "items or characters")

# References, macros, nesting
add("cycle_of_one", f"@{ASKED}", "references that go round")
add("cycle_of_two", "@a", "references that go round", a=f"@{ASKED}")
add("cycle_in_expression", f"$@{ASKED} + 1", "references that go round")
add("cycle_through_root", ["@"], "references that go round")
add("missing", "@nothing", "nothing stands at @nothing")
add("above", "@::::::::a", "leads above the config")
add("macro_of_a_file", "%/etc/passwd.json::a", "asks for another file by a macro")
add("chain", "@a0", "nested more than", **{f"a{i}": f"@a{i + 1}" for i in range(500)}, a500=1)
add("doubling", "@a0", "counted through references", **{f"a{i}": [f"@a{i + 1}"] * 10 for i in range(12)}, a12=1)
add(
    "doubling_texts",
    "@a0",
    "items or characters",
    **{f"a{i}": f"$@a{i + 1} + @a{i + 1}" for i in range(40)},
    a40="a" * 9,
)
add("macro_bomb", "%a0", "values", **{f"a{i}": [f"%a{i + 1}"] * 10 for i in range(11, -1, -1)}, a12=[1] * 10)
ARTEFACTS["nested_lists"] = Artefact(f'{{"asked": {"[" * 100_000}{"]" * 100_000}}}', "nested more than")
ARTEFACTS["nested_a_little"] = Artefact(f'{{"asked": {"[" * 60}{"]" * 60}}}', "nested more than")
ARTEFACTS["many_values"] = Artefact(json.dumps({ASKED: [0] * 50_000}), "more than 20000 values")
ARTEFACTS["large_file"] = Artefact(json.dumps({ASKED: "a" * 10**6}), "larger than")
ARTEFACTS["long_number"] = Artefact(f'{{"asked": {"9" * 10_000}}}', "no valid JSON")
ARTEFACTS["twice"] = Artefact('{"asked": 1, "asked": 2}', "stands twice")
ARTEFACTS["no_object"] = Artefact("[1]", "expected an object")
ARTEFACTS["no_json"] = Artefact("import os", "no valid JSON")

# YAML
yaml("yaml_object", f"asked: !!python/object/apply:os.system ['touch {MARK}']", "the YAML tag")
yaml("yaml_name", "asked: !!python/name:os.system", "the YAML tag")
yaml("yaml_module", "asked: !!python/module:os", "the YAML tag")
yaml("yaml_binary", "asked: !!binary aGFsbG8=", "the YAML tag")
yaml("yaml_date", "asked: 2020-01-01", "a value of type date")
yaml("yaml_nested", f"asked: {'[' * 5000}{']' * 5000}", "nested more than")
_LAUGHS = "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 10)}]\n" for i in range(1, 12))
yaml("yaml_laughs", f"b0: &b0 [ha]\n{_LAUGHS}asked: 1", "the YAML alias")
_MERGES = "".join(f"b{i}: &b{i}\n  <<: [{', '.join([f'*b{i - 1}'] * 10)}]\n" for i in range(1, 12))
yaml("yaml_merges", f"b0: &b0 {{a: 1}}\n{_MERGES}asked: 1", "the YAML alias")
yaml("yaml_expression", f"asked: \"$open('{MARK}', 'w')\"", "asks for open")


def write_all(folder: Path) -> Iterable[tuple[str, Path]]:
    """Write the corpus, a bundle for each; gives names and paths."""
    for name, artefact in ARTEFACTS.items():
        path = folder / f"bundle{len(list(folder.iterdir()))}" / "configs" / f"inference{artefact.suffix}"
        path.parent.mkdir(parents=True)
        path.write_text(artefact.text.replace(MARK, str(folder / "mark")), encoding="utf-8")
        yield name, path


def main(folder: Path) -> None:
    """Read every one of them under watch, in this process."""
    import resource

    import yaml  # noqa: F401 - imported by the reader when it is used

    from SlicerCNNSegLib.engine.bundles.names import IDLE, UNREAD
    from SlicerCNNSegLib.engine.bundles.workflow import allowed_names
    from SlicerCNNSegLib.engine.configs.outline import LightNames, Outline, outlined
    from SlicerCNNSegLib.engine.configs.resolving import ConfigReader
    from SlicerCNNSegLib.engine.errors import CNNSegError

    def options(way: str, path: Path) -> dict[str, Any]:
        if way == LIGHT:
            return {"names": LightNames({"torch.load": Outline}, IDLE, UNREAD), "make": outlined}
        return {"names": allowed_names(path.parent.parent)} if way == BUNDLE else {}

    artefacts = list(write_all(folder))
    # What the reader imports when it is used is imported before the watch begins.
    import_module("SlicerCNNSegLib.engine.configs.stand_ins")
    ConfigReader({ASKED: [{**UNET, "channels": [2, 2], "strides": [2]}, "$numpy.array([1])"]}, "honest").get(ASKED)
    events: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and not event.startswith(QUIET):
            events.append(f"{event} {arguments[:2]!r}"[:200])

    sys.addaudithook(watch)
    for way, (name, path) in itertools.product((STRICT, LIGHT, BUNDLE), artefacts):
        chosen = options(way, path)
        events.clear()
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        watching, error, message = True, "none", ""
        try:
            ConfigReader.read(path, **chosen).get(ASKED)
        except CNNSegError as caught:
            error, message = type(caught).__name__, str(caught)
        except BaseException as caught:
            error, message = type(caught).__name__, repr(caught)
        watching = False
        seconds = time.process_time() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        grown //= 1024 if sys.platform == "darwin" else 1  # bytes there, KiB elsewhere
        found = [event for event in events if str(path) not in event]
        print(json.dumps({"way": way, "name": name, "error": error, "message": message, "seconds": seconds,
                          "grown_kib": grown, "events": found}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
