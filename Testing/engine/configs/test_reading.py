"""Config files become plain data, or a refusal that says why."""

from __future__ import annotations

import builtins

import pytest

from SlicerCNNSegLib.engine.configs.reading import read_config
from SlicerCNNSegLib.engine.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """Writes a config of the bundle ``spleen``; gives its path."""

    def write(name, content):
        path = tmp_path / "spleen" / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_json_and_yaml_give_the_same_data(write):
    text = '{"a": [1, 2.5, null, true, "x"], "b": {"c": {}}}'
    assert read_config(write("a.json", text)) == read_config(write("a.yaml", text)) == read_config(write("a.yml", text))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "{", r'The bundle spleen has a fault in "a.json": no valid JSON'),
        ("a.json", b"\xff\xfe", "is no UTF-8 text"),
        ("a.json", "[1]", "expected an object with names and values, got list"),
        ("a.json", '{"a": 1, "a": 2}', "the name 'a' stands twice"),
        ("a.json", '{"a": "' + "x" * 30_000 + '"}', "a text of 30000 characters; at most 20000 are read"),
        ("a.yaml", "a: [", "no YAML of plain data"),
        ("a.yaml", "a: &x 1\nb: *x", r"the YAML alias \*x; write the value out"),
        ("a.yaml", "a: !!set {1}", "the YAML tag tag:yaml.org,2002:set; only plain values"),
        ("a.yaml", "a: 2020-01-01", "a value of type date"),
        ("a.py", "", "expected a file that ends with .json, .yaml, .yml, got a.py"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(write, name, content, reason):
    with pytest.raises(ConfigError, match=reason):
        read_config(write(name, content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'"inference.json": cannot be read'):
        read_config(tmp_path / "configs" / "inference.json")


def test_yaml_without_pyyaml_says_what_to_install(write, monkeypatch):
    honest = builtins.__import__

    def without_yaml(name, *rest):
        if name == "yaml":
            raise ImportError(name)
        return honest(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    with pytest.raises(ConfigError, match=r"PyYAML is not installed; install it \(pip install pyyaml\)"):
        read_config(write("a.yaml", "a: 1"))
