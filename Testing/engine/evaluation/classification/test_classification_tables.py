"""Tables of truth and probabilities: each form that is read, and everything that is refused."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_tables import write_table

from SlicerCNNSegLib.engine.errors import InputError, SettingsError
from SlicerCNNSegLib.engine.evaluation.classification.tables import (
    BINARY,
    MULTI_CLASS,
    MULTI_LABEL,
    read_classification_table,
)

SHORT = "case,truth,probability"
TWO = "case,truth,probability_benign,probability_malignant"
THREE = "case,truth,probability_a,probability_b,probability_c"
LABELS = "case,truth_a,truth_b,probability_a,probability_b"


@pytest.fixture
def read(tmp_path):
    """Reads a table that is given as lines."""

    def from_lines(header: str, *lines: str, **more):
        path = write_table(tmp_path / "T.csv", header.split(","), [line.split(",") for line in lines])
        return read_classification_table(path, **more)

    return from_lines


def test_short_form_of_0_and_1(read):
    table = read(SHORT, "x,1,0.9", "y,0,0.25")
    assert (table.kind, table.classes, table.targets) == (BINARY, ("0", "1"), ("1",))
    assert table.cases == ("x", "y")
    assert table.truth.tolist() == [[True], [False]]
    assert table.probabilities.tolist() == [[0.9], [0.25]]
    assert (table.reader, table.patients, table.unused) == (None, None, ())


def test_of_two_classes_the_last_is_positive(read):
    table = read(TWO, "x,malignant,0.2,0.8", "y,benign,0.6,0.4")
    assert (table.kind, table.classes, table.targets) == (BINARY, ("benign", "malignant"), ("malignant",))
    assert table.probabilities.tolist() == [[0.8], [0.4]]


def test_the_other_class_can_be_positive(read):
    table = read(TWO, "x,malignant,0.2,0.8", "y,benign,0.6,0.4", positive="benign")
    assert (table.classes, table.targets) == (("malignant", "benign"), ("benign",))
    assert table.truth.tolist() == [[False], [True]]
    assert table.probabilities.tolist() == [[0.2], [0.6]]


@pytest.mark.parametrize(("positive", "column"), [("", [0.8, 0.4]), ("benign", [0.2, 0.6])])
def test_the_positive_class_alone_is_enough_of_two(read, positive, column):
    table = read("case,truth,probability_malignant", "x,malignant,0.8", "y,benign,0.4", positive=positive)
    assert table.targets == (positive or "malignant",)
    assert set(table.classes) == {"benign", "malignant"}
    assert table.probabilities[:, 0] == pytest.approx(column)


def test_several_classes(read):
    table = read(THREE, "x,b,0.1,0.7,0.2", "y,c,0.3,0.3,0.4", "z,a,1,0,0")
    assert (table.kind, table.classes, table.targets) == (MULTI_CLASS, ("a", "b", "c"), ("a", "b", "c"))
    np.testing.assert_array_equal(table.truth, np.eye(3, dtype=bool)[[1, 2, 0]])
    assert table.probabilities[1].tolist() == [0.3, 0.3, 0.4]


def test_several_labels_at_once(read):
    table = read(LABELS, "x,1,1,0.9,0.8", "y,0,1,0.1,0.9", "z,0,0,0.5,0.6")
    assert (table.kind, table.targets) == (MULTI_LABEL, ("a", "b"))
    assert table.truth.tolist() == [[True, True], [False, True], [False, False]]


def test_a_reader_may_have_left_cases_out(read):
    table = read(f"{SHORT},reader", "x,1,0.9,1", "y,0,0.25,", "z,0,0.3,1")
    assert table.read.tolist() == [True, False, True]
    assert table.reader[table.read].tolist() == [[True], [True]]


def test_a_reader_of_several_labels(read):
    table = read(f"{LABELS},reader_a,reader_b", "x,1,1,0.9,0.8,0,1", "y,0,0,0.1,0.9,,")
    assert table.read.tolist() == [True, False]
    assert table.reader[0].tolist() == [False, True]


def test_patients_group_their_cases(read):
    table = read(f"{SHORT},patient", "x,1,0.9,p2", "y,0,0.25,p1", "z,0,0.3,p2")
    assert table.clustered
    assert table.groups[0] == table.groups[2] != table.groups[1]
    assert not read(f"{SHORT},patient", "x,1,0.9,p2", "y,0,0.25,p1").clustered


def test_columns_that_are_not_used_are_named(read):
    assert read(f"{SHORT},diameter_mm,patients", "x,1,0.9,5,p", "y,0,0.2,5,p").unused == ("diameter_mm", "patients")


def test_rounded_probabilities_may_miss_1_a_little(read):
    assert read(THREE, "x,b,0.333,0.333,0.333", "y,c,0.3,0.3,0.405").kind == MULTI_CLASS


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("case,truth", ["x,1"], "no column 'probability_<class>'.*its columns are case, truth"),
        ("case,truth,probability_", ["x,1,1"], "no column 'probability_<class>'"),
        ("truth,probability", ["1,0.5"], "lacks the column 'case'; its columns are truth, probability"),
        ("case,probability", ["x,0.5"], "lacks the column 'truth'"),
        (f"{SHORT},probability_a", ["x,1,0.5,0.5"], "'probability' and 'probability_a'; keep the first for 0 and 1"),
        (f"{LABELS},truth", ["x,1,0,0.5,0.5,a"], "mixes columns for one class per case"),
        ("case,truth_a,probability_a,probability_b", ["x,1,0.5,0.5"], "lacks the column 'truth_b'"),
        (f"{LABELS},reader_a", ["x,1,0,0.5,0.5,1"], "lacks the column 'reader_b'"),
        (SHORT, ["x,1,0.9", "y,0,1.2"], "row 3: expected a probability of 0 to 1 .*'probability', got '1.2'"),
        (SHORT, ["x,1,-0.1"], "row 2: expected a probability of 0 to 1 .* got '-0.1'"),
        (SHORT, ["x,1,nan"], "row 2: expected a probability of 0 to 1 .* got 'nan'"),
        (SHORT, ["x,1,"], "row 2: expected a probability of 0 to 1 .* got ''"),
        (SHORT, ["x,1,high"], "row 2: expected a probability of 0 to 1 .* got 'high'"),
        (SHORT, ["x,1,0.9", "x,0,0.1"], "has the case 'x' twice; give each case once"),
        (SHORT, [",1,0.9"], "row 2 has nothing in the column 'case'"),
        (f"{SHORT},patient", ["x,1,0.9,"], "row 2 has nothing in the column 'patient'"),
        (SHORT, ["x,,0.9"], "row 2 has nothing in the column 'truth'"),
        (SHORT, ["x,1,0.9", "y,2,0.9"], "'truth' must hold '1' and one other class, but it holds 0, 2"),
        ("case,truth,probability_m", ["x,m,0.9"], "must hold 'm' and one other class, but it holds no other"),
        (SHORT, ["x,1,0.9", "y,1,0.9"], "all cases are of one class according to the truth"),
        (LABELS, ["x,1,0,0.9,0.1", "y,1,0,0.9,0.1"], "each label is the same in all cases"),
        (LABELS, ["x,2,0,0.9,0.1"], "row 2: expected 0 or 1 in the column 'truth_a', got '2'"),
        (f"{LABELS},reader_a,reader_b", ["x,1,0,0.9,0.1,1,"], "expected 0 or 1 in the column 'reader_b', got ''"),
        (THREE, ["x,d,0.1,0.7,0.2"], "row 2: unknown class 'd' in the column 'truth'; expected one of a, b, c"),
        (f"{THREE},reader", ["x,a,0.1,0.7,0.2,d"], "unknown class 'd' in the column 'reader'"),
        (THREE, ["x,a,0.1,0.7,0.2", "y,b,0.9,0.8,0.7"], "row 3: the probabilities are 2.4 in sum, expected 1"),
    ],
)
def test_a_wrong_table_is_refused(read, header, lines, message):
    with pytest.raises(InputError, match=message):
        read(header, *lines)


def test_a_positive_class_must_be_one_of_two(read):
    with pytest.raises(SettingsError, match="no class 'bad' to be positive; its classes are benign, malignant"):
        read(TWO, "x,malignant,0.2,0.8", "y,benign,0.6,0.4", positive="bad")
    with pytest.raises(SettingsError, match=r"is a multi-class table.*leave --positive out"):
        read(THREE, "x,b,0.1,0.7,0.2", "y,c,0.3,0.3,0.4", positive="b")
    with pytest.raises(SettingsError, match=r"is a multi-label table.*leave --positive out"):
        read(LABELS, "x,1,1,0.9,0.8", "y,0,0,0.1,0.9", positive="a")
