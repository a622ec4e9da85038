"""How cases are divided."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegTrainLib.engine.data.cases import TrainingCase
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.splits import divide

HIPPOCAMPUS_FOLD_0 = {
    "held out": (42, "4c3cfbdb07a176bf2444146a9f7ac4822435eabd831fb20c86b071a066dd20a8"),
    "training": (166, "6f58ec3d41650e8a1f682dfef67da40a0e5284caa3d9715aa6b08dee9fb07353"),
}
"""Number and SHA-256 of the ids, a line each, that the shipped ``hippocampus-mr`` was divided into."""


def case(name, patient="", split=""):
    return TrainingCase(name, (), Path(name), patient or name, split)


@given(
    patients=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    folds=st.integers(2, 6),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_folds_cover_all_cases_once_and_never_part_a_patient(patients, folds, seed, data):
    cases = [case(f"c{n}", f"p{patient}") for n, patient in enumerate(patients)]
    presence = {one.id: data.draw(st.frozensets(st.integers(1, 4))) for one in cases}
    if len(set(patients)) < folds:
        with pytest.raises(SettingsError, match=r"Expected at least \d patients"):
            divide(cases, folds, seed, presence)
        return
    division = divide(cases, folds, seed, presence)
    held = [division.held_out(fold) for fold in range(folds)]
    assert sorted(one.id for part in held for one in part) == sorted(one.id for one in cases)
    for fold, part in enumerate(held):
        training = division.training(fold)
        assert len(training) + len(part) == len(cases)
        assert not {one.patient for one in training} & {one.patient for one in part}
    numbers = [len({one.patient for one in part}) for part in held]
    assert max(numbers) - min(numbers) <= 1
    assert division == divide(cases, folds, seed, presence)


def test_the_seed_decides():
    cases = [case(f"c{n}") for n in range(40)]
    assert divide(cases, 5, 0).parts != divide(cases, 5, 1).parts


def test_a_rare_structure_is_spread_evenly():
    cases = [case(f"c{n:03d}") for n in range(100)]
    rare = {f"c{n:03d}" for n in range(10)}
    presence = {one.id: frozenset({1, 2} if one.id in rare else {1}) for one in cases}
    for seed in range(10):
        division = divide(cases, 5, seed, presence)
        assert [sum(one.id in rare for one in division.held_out(fold)) for fold in range(5)] == [2] * 5
    unaware = [sum(one.id in rare for one in divide(cases, 5, 0).held_out(fold)) for fold in range(5)]
    assert unaware != [2] * 5


def test_where_all_hold_the_same_structures_the_shuffled_order_is_the_deal():
    cases = [case(f"c{n}") for n in range(23)]
    assert divide(cases, 5, 3, {one.id: frozenset({1, 2}) for one in cases}) == divide(cases, 5, 3)


def test_a_case_that_is_only_trained_on_is_never_held_out_and_away_with_its_patient():
    cases = [case(f"c{n}", f"p{n // 2}") for n in range(20)]
    odd = {one.id for one in cases[1::2]}
    division = divide(cases, 5, 0, only_trained=odd)
    assert sorted(one.id for fold in range(5) for one in division.held_out(fold)) == sorted(
        one.id for one in cases[::2]
    )
    for fold in range(5):
        held, training = division.held_out(fold), division.training(fold)
        assert {one.patient for one in training} == {one.patient for one in cases} - {one.patient for one in held}
        assert sum(one.id in odd for one in training) == len(training) / 2 == 8
        assert sum(part == "validation" for part in division.parts_in(fold).values()) == 4


def test_the_datas_own_splits_hold():
    cases = [case("a", split="train"), case("b", split="test"), case("c", split="validation"), case("d", split="train")]
    division = divide(cases, 5, 0)
    assert division.choices == (0,)
    assert [one.id for one in division.training(3)] == ["a", "d"]
    assert [one.id for one in division.held_out(3)] == ["c"]
    assert [one.id for one in division.test] == ["b"]
    assert division.parts_in(0) == {"a": "train", "d": "train", "c": "validation", "b": "test"}
    assert division.words(0) == "as the data set's table divides them"


def test_a_test_split_stays_out_of_every_fold():
    cases = [case(f"c{n}", split="test" if n < 4 else "train") for n in range(14)]
    division = divide(cases, 5, 0)
    assert [one.id for one in division.test] == ["c0", "c1", "c2", "c3"]
    for fold in division.choices:
        assert len(division.held_out(fold)) == 2
        assert len(division.training(fold)) == 8


def test_impossible_divisions_are_refused():
    with pytest.raises(SettingsError, match=r"Expected a fold from 0 to 4, got 5"):
        divide([case(f"c{n}") for n in range(5)], 5, 0).held_out(5)
    with pytest.raises(SettingsError, match=r"Expected at least 5 patients for 5 folds, got 1; add cases"):
        divide([case("only")], 5, 0)
    with pytest.raises(SettingsError, match=r"Expected cases of the split 'train' beside those of 'validation'"):
        divide([case("a", split="validation")], 5, 0)


def test_the_shipped_models_division_stays(data_folder):
    division = divide(read_folder(data_folder / "hippocampus").cases, 5, 0)
    for name, cases in (("held out", division.held_out(0)), ("training", division.training(0))):
        digest = hashlib.sha256("\n".join(one.id for one in cases).encode()).hexdigest()
        assert (len(cases), digest) == HIPPOCAMPUS_FOLD_0[name]
