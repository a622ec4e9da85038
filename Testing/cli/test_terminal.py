"""What a person sees of a cohort, with and without a terminal."""

import io
import re
import sys
from pathlib import Path

import pytest

from SlicerCNNSegLib.cli import bar as bar_module
from SlicerCNNSegLib.cli.terminal import TerminalObserver, TerminalProgress, summary, table
from SlicerCNNSegLib.engine.cohort.cases import Case
from SlicerCNNSegLib.engine.cohort.runner import DONE, FAILED, SKIPPED, CohortResult, Outcome
from SlicerCNNSegLib.engine.errors import InputError

CASES = [Case(name, (("", Path(f"{name}.nii.gz")),)) for name in ("a", "b", "c", "d")]
VOLUMES = ({"label": 1, "name": "Blob", "voxels": 10, "volume_mm3": 12.6},)


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Puts a terminal in stderr's place; called by the test, because pytest puts its own there before it."""

    def put() -> Terminal:
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return put


def play(observer) -> None:
    """Four cases: one done with a warning, one done before, one failing, one stopped."""
    observer.started(CASES)
    outcomes = [
        Outcome(CASES[0], DONE, 1.25, rows=VOLUMES, warnings=("resampled",)),
        Outcome(CASES[1], SKIPPED, warnings=("told before",)),
        Outcome(CASES[2], FAILED, error=InputError("no\ngood")),
    ]
    for position, outcome in enumerate(outcomes):
        observer.progressed(position, 0.5, "Working")
        observer.finished(position, outcome)
    observer.ended(CohortResult(4, tuple(outcomes), True, Path("out/volumes.csv")))


def test_without_a_terminal_there_is_a_line_for_each_case(capsys):
    play(TerminalObserver())
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "[1/4] a: done, 1.2 s",
        "[2/4] b: skipped",
        f"4 cases: 1 done, 1 done before, 1 failed, 1 not done; volumes in {Path('out/volumes.csv')}",
    ]
    assert err.splitlines() == [
        "cnnseg: warning: a: resampled",
        "cnnseg: error: c: no good",
        "cnnseg: stopped; what is done stays, --resume goes on from there.",
    ]


def test_quiet_shows_errors_only(capsys):
    play(TerminalObserver(quiet=True))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "cnnseg: error: c: no good"


def test_in_a_terminal_there_is_one_bar_with_the_time_left(terminal, capsys):
    stream = terminal()
    play(TerminalObserver())
    shown = stream.getvalue()
    assert re.search(r"75%\|.*\| 3\.0/4 cases \[\d\d:\d\d<\d\d:\d\d, c\]", shown)
    assert "cnnseg: error: c: no good\n" in shown
    assert "Traceback" not in shown
    assert capsys.readouterr().out.startswith("4 cases: ")


def test_cases_done_before_do_not_count_for_the_time_left(terminal):
    terminal()
    observer = TerminalObserver()
    observer.started(CASES)
    for position in range(2):
        observer.finished(position, Outcome(CASES[position], SKIPPED))
    inner = observer.bar._bar
    assert (inner.n, inner.initial) == (2, 2)
    observer.close()


def test_without_tqdm_there_are_plain_lines(terminal, monkeypatch, capsys):
    monkeypatch.setattr(bar_module.importlib.util, "find_spec", lambda name: None)
    stream = terminal()
    play(TerminalObserver())
    assert "%" not in stream.getvalue()
    assert capsys.readouterr().out.startswith("[1/4] a: done")


def test_debug_shows_the_traceback_of_a_failed_case(capsys):
    observer = TerminalObserver(debug=True)
    observer.started(CASES[:1])
    try:
        raise InputError("no good")
    except InputError as error:
        observer.finished(0, Outcome(CASES[0], FAILED, error=error))
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("cnnseg: error: a: no good\n")


def test_a_single_case_shows_its_volumes_and_files(capsys):
    observer = TerminalObserver()
    observer.started(CASES[:1])
    outcome = Outcome(CASES[0], DONE, outputs=(Path("out/a.seg.nrrd"),), rows=VOLUMES)
    observer.finished(0, outcome)
    observer.ended(CohortResult(1, (outcome,), False, Path("out/volumes.csv")))
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "structure  voxels  volume (mm3)",
        "Blob           10            13",
        "",
        str(Path("out/a.seg.nrrd")),
        str(Path("out/volumes.csv")),
    ]


def test_the_summary_of_a_run_without_results_names_no_table():
    assert summary(CohortResult(2, (), True, None)) == "2 cases: 0 done, 2 not done"


def test_columns_of_numbers_stand_to_the_right():
    assert table([("a", 1), ("bcd", 100)], ("name", "n")) == "name    n\na       1\nbcd   100"
    assert table([], ("name", "n")) == "name  n"


def test_a_long_job_moves_its_bar(terminal):
    stream = terminal()
    progress = TerminalProgress()
    progress.report(0.4, "Comparing a")
    assert not progress.cancelled()
    progress.close()
    assert re.search(r"40%\|.*\| \[\d\d:\d\d<\d\d:\d\d, Comparing a\]", stream.getvalue())
