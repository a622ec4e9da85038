"""On harmless configs the reader gives what MONAI's ``ConfigParser`` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bundle_configs as bundles
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from SlicerCNNSegLib.engine.configs.components import FileStep
from SlicerCNNSegLib.engine.configs.resolving import ConfigReader

SHIPPED = Path(__file__).parents[3] / "SlicerCNNSeg" / "Resources" / "Models" / "hippocampus-mr" / "configs"
PARTS = ("network_def", "network", "preprocessing", "inferer", "postprocessing")
CONFIGS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "shipped": (json.loads((SHIPPED / "inference.json").read_text(encoding="utf-8")), ("output_dir", "cnnseg", *PARTS)),
    "spleen": (bundles.SPLEEN, ("output_dir", "output_dtype", "device", *PARTS)),
    "brats": (bundles.BRATS, ("network", "preprocessing", "inferer", "postprocessing::transforms::1")),
    "swin": (bundles.SWIN, PARTS),
    "lung_nodule": (
        bundles.LUNG_NODULE,
        ("whether_resampled_luna16", "anchor_generator", "backbone", "preprocessing", "postprocessing"),
    ),
    "whole_body": (bundles.WHOLE_BODY, ("pixdim", "modelname", "load_path", "displayable_configs", *PARTS)),
}


def alike(ours: Any, theirs: Any, depth: int = 0) -> bool:
    """Whether two values are of the same kind and hold the same; where files are read, a ``FileStep`` stands for it."""
    if isinstance(ours, FileStep):
        return type(theirs).__name__ == ours.name
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, torch.nn.Module):
        shapes = [[(name, value.shape) for name, value in net.state_dict().items()] for net in (ours, theirs)]
        return shapes[0] == shapes[1]
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key], depth + 1) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(alike(a, b, depth + 1) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, np.ndarray | torch.Tensor):
        return np.array_equal(np.asarray(ours), np.asarray(theirs), equal_nan=True)
    if isinstance(ours, np.random.RandomState) or (callable(ours) and hasattr(ours, "__name__")):
        return getattr(ours, "__name__", "") == getattr(theirs, "__name__", "")
    if hasattr(ours, "__dict__") and depth < 8:
        return alike(vars(ours), vars(theirs), depth + 1)
    return depth >= 8 or bool(ours == theirs) or (ours != ours and theirs != theirs)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bundle_gives_what_monai_gives(name):
    config, ids = CONFIGS[name]
    reader, parser = ConfigReader(config, name), ConfigParser(config=json.loads(json.dumps(config)))
    for at in ids:
        ours, theirs = reader.get(at), parser.get_parsed_content(at)
        assert alike(ours, theirs), at


def test_a_detector_is_what_monai_gives():
    pytest.importorskip("torchvision", reason="MONAI's detection needs torchvision")
    reader = ConfigReader(bundles.LUNG_NODULE, "lung_nodule")
    parser = ConfigParser(config=json.loads(json.dumps(bundles.LUNG_NODULE)))
    for at in ("network", "detector", "detector_ops"):
        assert alike(reader.get(at), parser.get_parsed_content(at)), at


def test_a_yaml_bundle_gives_what_monai_gives(tmp_path):
    path = tmp_path / "pediatric" / "configs" / "inference.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(bundles.PEDIATRIC_YAML, encoding="utf-8")
    reader, parser = ConfigReader.read(path), ConfigParser()
    parser.read_config(str(path))
    for at in ("labels", "spatial_dims", "network", "preprocessing", "inferer"):
        assert alike(reader.get(at), parser.get_parsed_content(at)), at


def test_alike_sees_a_difference():
    compose = ConfigReader(bundles.SPLEEN, "spleen").get("preprocessing")
    other = json.loads(json.dumps(bundles.SPLEEN).replace("164", "165"))
    assert not alike(compose, ConfigReader(other, "spleen").get("preprocessing"))
    assert not alike([1], [True])


@pytest.mark.parametrize(
    "source",
    [
        "1 + 2 * 3 - 4 / 5 // 6 % 7 ** 2",
        "-5 % 3, +1, ~2, not 1",
        "1 << 3 | 1 & 3 ^ 4 >> 1",
        "'a' + 'b' * 3",
        "[1, 2] + [3] * 2",
        "(1,) + (2, 3)",
        "1 < 2 < 3 != 4 >= 4 == 4",
        "1 in [1, 2] and 3 not in {3: 4} or None is None",
        "0 or '' or 'last'",
        "1 and 0 and 1 / 0",
        "'yes' if @n > 2 else 'no'",
        "@l[0], @l[-1], @l[1:], @l[::-1], @d['b'], 'text'[1:3]",
        "@d#b + @l::1 + @n",
        "[i * j for i in range(3) for j in @l if i != j]",
        "{k: v + 1 for k, v in @d.items()}",
        "{x % 3 for x in range(10)}",
        "[*@l, *range(2)]",
        "{**@d, 'c': 3}",
        "dict(a=1), list('ab'), tuple([1]), set([1, 1]), len(@l), sum(@l), max(@l), min(3, 2)",
        "sorted(@l, reverse=True), list(zip(@l, 'abc')), list(enumerate('a')), list(reversed(@l)), any([0]), all([])",
        "int('7'), int(2.9), float('1.5'), str(3), bool(0), round(2.567, 1), abs(-1)",
        "os.path.join(@root, 'models', 'model.pt'), path.basename('/a/b.pt'), os.path.dirname('/a/b')",
        "math.ceil(2.1), math.floor(2.9), math.pi, math.sqrt(4), math.log2(8)",
        "np.prod([2, 3]), numpy.sqrt(4), np.ceil([1.2]), np.array([1, 2], dtype=np.float32), np.max(@l)",
        "torch.tensor([1, 2]), torch.float32, torch.device('cpu').type, torch.tensor([[1, 2]]).shape",
        "torch.from_numpy(np.array([1.0])), np.float32, numpy.array([[1, 2]])[0, 1].item()",
        "np.prod(@l) * 2 + np.sqrt(4.0)",
        "'A,b'.lower().split(','), ' a'.strip(), 'ab'.startswith('a')",
    ],
)
def test_an_expression_has_the_value_that_python_gives_it(source):
    config = {
        "imports": ["$import os", "$import math", "$from os import path"],
        "n": 3,
        "l": [3, 1, 2],
        "d": {"a": 1, "b": 2},
        "root": "/bundle",
        "x": f"${source}",
    }
    parser = ConfigParser(config=json.loads(json.dumps(config)))
    assert alike(ConfigReader(config, "bundle").get("x"), parser.get_parsed_content("x"))


@pytest.mark.parametrize(
    ("config", "at"),
    [
        ({"a": 1, "x": "@a"}, "x"),
        ({"a": {"b": [1, {"c": 2}]}, "x": "@a#b#1::c"}, "x"),
        ({"a": {"b": 1, "c": "@::b", "d": {"e": "@::::b", "f": "$@##b + 1"}}}, "a"),
        ({"a": {"b": 1, "c": "@#b"}, "x": {"y": "@##a"}}, "x"),
        ({"a": {"b": [1, 2]}, "x": "%a#b"}, "x"),
        ({"a": {"b": "$1 + 1", "c": "%::b"}, "x": "%a"}, "x"),
        ({"x": "%a", "a": "%b", "b": 3}, "x"),
        ({"a": 1, "x": "user@example.org"}, "x"),
        ({"x": "50% of #3"}, "x"),
        ({"a": 2, "ab": 3, "x": "$@ab * 10 + @a"}, "x"),
        ({"x": {"_target_": "Identity", "_disabled_": True}}, "x"),
        ({"x": [1, {"_target_": "Identity", "_disabled_": " TRUE "}, None]}, "x"),
        ({"x": {"a": {"_target_": "Identity", "_disabled_": "$1 > 0"}, "b": 2}}, "x"),
        (
            {
                "x": {"_target_": "Flipd", "keys": "a", "_desc_": "text", "_mode_": "default", "_requires_": "@y"},
                "y": 1,
            },
            "x",
        ),
        ({"x": {"_target_": "torch.device", "device": "cpu"}}, "x"),
        ({"x": {"_target_": "monai.transforms.spatial.dictionary.Flipd", "keys": "a"}}, "x"),
        ({"x": {"_target_": "FlipD", "keys": "a"}}, "x"),
        ({"x": {"_target_": "FlipDict", "keys": "a"}}, "x"),
        ({"x": {"a#b": 1, "c::d": {"_target_": "Flipd", "keys": "a"}}}, "x"),
        ({"x": {"labels": {"0": "a"}, "y": "@x::labels::0"}}, "x::y"),
    ],
)
def test_references_macros_and_special_keys_are_as_in_monai(config, at):
    parser = ConfigParser(config=json.loads(json.dumps(config)))
    assert alike(ConfigReader(config, "bundle").get(at), parser.get_parsed_content(at))
