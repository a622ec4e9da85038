"""``dev.py``: what it runs, when it installs, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VersionInfo = namedtuple("VersionInfo", "major minor micro")


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """The script, in a project folder of its own; ``dev.ran`` lists what it would have run."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.INPUTS:
        (tmp_path / name).write_text("first")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "out")
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp.json")
    module.ran = []
    module.statuses = {}  # exit status of each line that holds the word

    def run(line, quiet=False):
        module.ran.append(line)
        if "venv" in line:
            module.tool("python").parent.mkdir(parents=True, exist_ok=True)
            module.tool("python").touch()
        return next((status for word, status in module.statuses.items() if word in line), 0)

    module.really_run = module.run
    monkeypatch.setattr(module, "run", run)
    return module


def lines_with(dev, word):
    return [line for line in dev.ran if word in line]


def test_first_run_makes_the_environment_and_the_second_does_not(dev, capsys):
    assert dev.main(["demo"]) == 0
    assert len(lines_with(dev, "venv")) == 1
    assert lines_with(dev, "install")[0][-4:] == ["-c", "constraints.txt", "-e", ".[demo]"]
    assert f"The results are in {dev.RESULTS}" in capsys.readouterr().out
    dev.ran.clear()
    assert dev.main(["demo"]) == 0
    assert dev.ran == [[str(dev.tool("cnnseg")), "demo", "-o", str(dev.RESULTS)]]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_input_installs_again(dev, name):
    dev.main(["demo"])
    dev.ran.clear()
    (dev.ROOT / name).write_text("second")
    dev.main(["demo"])
    assert len(lines_with(dev, "install")) == 1
    assert not lines_with(dev, "venv")


def test_test_environment_also_serves_the_demo_but_not_the_other_way_round(dev):
    dev.main(["demo"])
    dev.ran.clear()
    dev.main(["test"])
    assert len(lines_with(dev, "install")) == 1
    dev.ran.clear()
    dev.main(["demo"])
    assert not lines_with(dev, "install")
    (dev.ROOT / "pyproject.toml").write_text("second")
    dev.main(["demo"])
    assert lines_with(dev, "install")[0][-1] == ".[test]"


def test_a_damaged_stamp_installs_again(dev):
    dev.main(["demo"])
    dev.STAMP.write_text("{")
    dev.ran.clear()
    assert dev.main(["demo"]) == 0
    assert len(lines_with(dev, "install")) == 1


def test_a_failed_installation_is_told_and_tried_again(dev, capsys):
    dev.statuses = {"install": 1}
    assert dev.main(["demo"]) == 1
    assert "the installation failed; see the message above" in capsys.readouterr().err
    assert not dev.STAMP.exists()
    dev.statuses = {}
    assert dev.main(["demo"]) == 0
    assert json.loads(dev.STAMP.read_text())["extra"] == "demo"


def test_an_environment_without_pip_is_made_anew(dev):
    dev.tool("python").parent.mkdir(parents=True)
    dev.tool("python").touch()
    dev.statuses = {"--version": 1}
    assert dev.main(["demo"]) == 0
    assert lines_with(dev, "venv") == [[sys.executable, "-m", "venv", "--clear", str(dev.ENVIRONMENT)]]


def test_every_step_runs_and_the_first_failure_is_the_exit_status(dev, capsys):
    dev.statuses = {"--check": 3, "mypy": 4}
    assert dev.main(["test", "-k", "volume"]) == 3
    steps = [line[2] for line in dev.ran if line[1] == "-m" and line[2] not in ("venv", "pip")]
    assert steps == ["ruff", "ruff", "mypy", "pytest"]
    assert dev.ran[-1][-2:] == ["-k", "volume"]
    output = capsys.readouterr().out
    assert "FAILED (exit status 3)" in output
    assert "[4/4] pytest" in output


def test_a_failed_demo_promises_no_results(dev, capsys):
    dev.statuses = {"demo": 1}
    assert dev.main(["demo"]) == 1
    assert "The results are in" not in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0), (["tset"], 2)])
def test_usage_is_shown(dev, capsys, arguments, status):
    assert dev.main(arguments) == status
    assert "python3 dev.py demo" in capsys.readouterr().out
    assert not dev.ran


def test_only_test_takes_arguments(dev, capsys):
    assert dev.main(["demo", "--fast"]) == 2
    assert "dev.py demo takes no arguments, got: --fast" in capsys.readouterr().err


def test_an_old_python_is_refused(dev, capsys, monkeypatch):
    monkeypatch.setattr(sys, "version_info", VersionInfo(3, 9, 1))
    assert dev.main(["test"]) == 1
    assert "Python 3.11 or newer is needed, this is 3.9" in capsys.readouterr().err
    assert not dev.ran


def test_a_python_without_venv_is_told_what_to_install(dev, capsys, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else real(name))
    assert dev.main(["test"]) == 1
    assert "lacks ensurepip; on Debian and Ubuntu install python3." in capsys.readouterr().err


def test_ctrl_c_is_one_line(dev, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "run_all", interrupted)
    assert dev.main(["demo"]) == 130
    assert capsys.readouterr().err.strip() == "dev.py: stopped."


@pytest.mark.parametrize(("given", "threads"), [(None, None), ("7", 7)])
def test_test_processes_share_the_processors_unless_told_otherwise(dev, monkeypatch, given, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    probe = "import os, sys; sys.exit(int(os.environ.get('OMP_NUM_THREADS', 0)))"
    assert dev.really_run([sys.executable, "-c", probe, "pytest"]) == (threads or dev.THREADS)
    assert dev.really_run([sys.executable, "-c", probe]) == (threads or 0)
