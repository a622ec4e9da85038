"""``cnnseg evaluate classification``: the tables, the files, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tiny_cases import files_in
from tiny_tables import write_table

from SlicerCNNSegLib.engine.evaluation.classification import plot


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.4
    first = np.round(1 / (1 + np.exp(1 - rng.normal(2.5 * truth, 1))), 4)
    return truth, first, np.round((first + rng.random(80)) / 2, 4)


@pytest.fixture
def tables(tmp_path, arrays):
    """A good and a worse model on the same cases; the second in another order."""
    truth, first, second = arrays
    header = ("case", "patient", "truth", "reader", "probability_malignant")
    names = np.where(truth, "malignant", "benign")
    rows = [(f"n{n}", f"p{n // 2}", names[n], names[(n // 9) * 9]) for n in range(80)]
    paths = []
    for name, column, order in (("deep", first, 1), ("size", second, -1)):
        cells = [(*row, value) for row, value in zip(rows, column, strict=True)]
        paths.append(write_table(tmp_path / f"{name}.csv", header, cells[::order]))
    return paths


def line(table, output, *more) -> list:
    return ["evaluate", "classification", "--table", table, "-o", output, *more]


def test_the_numbers_are_written_and_shown(cnnseg, tables, arrays, tmp_path):
    output = tmp_path / "new" / "evaluation.json"
    outcome = cnnseg(*line(tables[0], output, "--seed", "3", "--bins", "5"))
    assert (outcome.status, outcome.err) == (0, "")
    data = json.loads(output.read_text())
    assert data["settings"] == {"threshold": 0.5, "bins": 5, "seed": 3}
    assert data["data"]["patients"] == 40
    auc = roc_auc_score(arrays[0], arrays[1])
    assert data["models"][0]["overall"]["auc"]["value"] == pytest.approx(auc)
    for text in (f"{auc:.3f} [", "80 cases (benign ", "of 40 patients; positive: malignant", "kappa, reader and truth"):
        assert text in outcome.out
    assert outcome.out.endswith(f"\n{output}\n")
    assert files_in(output.parent) == ["evaluation.json"]


def test_two_models_are_compared(cnnseg, tables, tmp_path):
    outcome = cnnseg(*line(tables[0], tmp_path / "out.json", "--compare", tables[1]))
    assert (outcome.status, outcome.err) == (0, "")
    assert "deep less size, two-sided:" in outcome.out
    assert "AUC of malignant: +0." in outcome.out
    assert "(exact McNemar, by patient)" in outcome.out
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["comparison"]["auc_tests"]["malignant"]["p"] < 0.05


def test_pictures_are_written_on_request(cnnseg, tables, tmp_path):
    outcome = cnnseg(*line(tables[0], tmp_path / "out.json", "--plots", tmp_path / "plots", "--positive", "benign"))
    assert outcome.status == 0
    assert len(files_in(tmp_path / "plots")) == 6
    assert str(tmp_path / "plots" / "roc.svg") in outcome.out
    assert "positive: benign" in outcome.out


def test_quiet_prints_nothing(cnnseg, tables, tmp_path):
    outcome = cnnseg(*line(tables[0], tmp_path / "out.json", "--quiet", "--threshold", "0.3"))
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert json.loads((tmp_path / "out.json").read_text())["settings"]["threshold"] == 0.3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--table", "absent.csv"], "absent.csv cannot be read as a table"),
        (["--table", "wrong.csv"], "wrong.csv, row 2: expected a probability of 0 to 1"),
        (["--compare", "wrong.csv"], "wrong.csv, row 2: expected a probability of 0 to 1"),
        (["--compare", "other.csv"], "lacks 2 cases of other.csv (x, y)"),
        (["--positive", "nodule"], "no class 'nodule' to be positive; its classes are benign, malignant"),
        (["--threshold", "1.5"], "Expected a threshold between 0 and 1, got 1.5"),
        (["--bins", "0"], "Expected at least 2 bins for the calibration error, got 0"),
        (["-o", "out.txt"], "Expected a file that ends in .json after -o, got out.txt"),
        (["--plots", "wrong.csv"], "Cannot write wrong.csv"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(cnnseg, tables, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "wrong.csv", ("case", "truth", "probability"), [("n1", 1, 2)])
    header = ("case", "truth", "probability_malignant")
    write_table(tmp_path / "other.csv", header, [("x", "malignant", 0.9), ("y", "benign", 0.1)])
    before = files_in(tmp_path)
    cnnseg(*line(tables[0], "out.json", *more)).assert_refused(2, message)
    assert files_in(tmp_path) == before


def test_nothing_is_written_when_a_run_is_stopped(cnnseg, tables, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(plot, "write_plots", stop)
    (tmp_path / "out").mkdir()
    cnnseg(*line(tables[0], tmp_path / "out" / "a.json", "--plots", tmp_path / "out")).assert_refused(130, "stopped.")
    assert files_in(tmp_path / "out") == []
