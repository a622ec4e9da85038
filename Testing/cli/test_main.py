"""The front door: parsing and exit statuses; that it stays light is tested with the house."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from SlicerCNNSegLib.cli import main as main_module
from SlicerCNNSegLib.cli import models
from SlicerCNNSegLib.cli.main import join_negative_values, main, parse
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.version import VERSION

LIBRARY = Path(main_module.__file__).parents[2]


def test_version(cnnseg):
    outcome = cnnseg("--version")
    assert (outcome.status, outcome.out) == (0, f"cnnseg {VERSION}\n")


@pytest.mark.parametrize(
    "command", [[], ["segment"], ["models"], ["models", "list"], ["evaluate", "segmentation"], ["demo"]]
)
def test_every_command_has_help(cnnseg, command):
    outcome = cnnseg(*command, "--help")
    assert outcome.status == 0
    assert outcome.out.startswith(f"usage: {' '.join(['cnnseg', *command])}")
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND; see 'cnnseg --help'"),
        (["segmnt"], "invalid choice: 'segmnt'"),
        (["segment", "a.nii.gz"], "required: -o/--output; see 'cnnseg segment --help'"),
        (["segment", "a.nii.gz", "-o", "out", "--formt", "mha"], "unrecognized arguments: --formt"),
        (["segment", "a.nii.gz", "-o", "out", "--format", "gif"], "invalid choice: 'gif'"),
        (["segment", "a.nii.gz", "-o", "out", "--json", "--quiet"], "not allowed with argument"),
        (["models", "list", "more"], "unrecognized arguments: more"),
        (["evaluate", "segmentation", "-o", "e.json"], "required: --reference, --prediction"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(cnnseg, arguments, message):
    cnnseg(*arguments).assert_refused(2, message)


@pytest.mark.parametrize(
    "given",
    [
        ["--roi-ras", "-40,30,-20.5,10,-5,5"],
        ["--roi-ras=-40,30,-20.5,10,-5,5"],
    ],
)
def test_a_region_may_begin_with_a_minus(given):
    assert parse(["segment", "a", *given, "-o", "out"]).roi_ras == ["-40,30,-20.5,10,-5,5"]


def test_only_values_of_regions_are_joined():
    line = ["segment", "--roi", "-1,2", "--roi-ras", "-.5,2", "--tta", "-o", "-5", "--roi", "--json"]
    joined = ["segment", "--roi=-1,2", "--roi-ras=-.5,2", "--tta", "-o", "-5", "--roi", "--json"]
    assert join_negative_values(line) == joined


def test_inputs_may_stand_before_and_after_options():
    arguments = parse(["segment", "a", "--tta", "b", "-o", "out", "c", "d"])
    assert arguments.inputs == ["a", "b", "c", "d"]
    assert arguments.tta


def test_a_lone_option_that_is_not_known_is_refused_with_its_command():
    with pytest.raises(SettingsError, match=r"unrecognized arguments: --report$|unrecognized arguments: --report;"):
        parse(["demo", "--report"])


def test_an_unforeseen_error_is_one_line_and_a_traceback_with_debug(cnnseg, monkeypatch):
    def fail(*_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(models, "list_models", fail)
    cnnseg("models", "list").assert_refused(
        1, "RuntimeError: first line second line; run with --debug for the traceback."
    )
    shown = cnnseg("models", "list", "--debug")
    assert shown.status == 1
    assert "Traceback (most recent call last)" in shown.err


def test_ctrl_c_is_one_line_and_status_130(cnnseg, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "list_models", stop)
    cnnseg("models", "list").assert_refused(130, "stopped.")


def test_the_terminate_signal_works_like_ctrl_c_and_its_handler_is_given_back(cnnseg, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(models, "list_models", lambda: signal.raise_signal(signal.SIGTERM))
    assert cnnseg("models", "list").status == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_arguments_default_to_those_of_the_process(capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cnnseg", "--version"])
    assert main() == 0
    assert capfd.readouterr().out.startswith("cnnseg ")


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is told otherwise on Windows")
@pytest.mark.parametrize("arguments", [["segment", "--help"], ["models", "list"]])
def test_a_reader_that_goes_away_is_no_traceback(arguments):
    code = (
        f"import time, sys; from SlicerCNNSegLib.cli.main import main; time.sleep(0.3); sys.exit(main({arguments!r}))"
    )
    line = f"{shlex.join([sys.executable, '-c', code])} | true"
    ended = subprocess.run(["/bin/sh", "-c", line], env={**os.environ, "PYTHONPATH": str(LIBRARY)}, capture_output=True)
    assert ended.stderr == b""
