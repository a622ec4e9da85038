"""Two models on the same cases: pairing, differences, tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tiny_tables import KINDS, random_table, table_of

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.evaluation.classification.compare import paired
from SlicerCNNSegLib.engine.evaluation.classification.delong import auc_difference, auc_with_covariance
from SlicerCNNSegLib.engine.evaluation.classification.evaluate import evaluate_classification
from SlicerCNNSegLib.engine.evaluation.classification.tables import BINARY, MULTI_CLASS


def worse(table, seed=9, name="worse"):
    """Another model on the same cases, with noise in its probabilities."""
    noise = np.random.default_rng(seed).random(table.probabilities.shape)
    probabilities = (table.probabilities + noise) / 2
    if table.kind == MULTI_CLASS:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return table_of(table.kind, table.truth, probabilities, name=name)


def shuffled(table):
    """The same table with its rows in another order."""
    order = np.random.default_rng(1).permutation(len(table.cases))
    cases = tuple(table.cases[n] for n in order)
    return replace(
        table,
        cases=cases,
        truth=table.truth[order],
        probabilities=table.probabilities[order],
        read=table.read[order],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_may_stand_in_another_order(kind):
    first = random_table(kind)
    second = worse(first)
    np.testing.assert_array_equal(paired(first, shuffled(second)).probabilities, second.probabilities)


def test_classes_may_stand_in_another_order():
    first = random_table(MULTI_CLASS)
    turned = replace(
        first,
        classes=first.classes[::-1],
        targets=first.targets[::-1],
        truth=first.truth[:, ::-1],
        probabilities=first.probabilities[:, ::-1],
    )
    np.testing.assert_array_equal(paired(first, turned).probabilities, first.probabilities)
    first = random_table(BINARY)
    other = replace(
        first, classes=("c1", "c0"), targets=("c0",), truth=~first.truth, probabilities=1 - first.probabilities
    )
    np.testing.assert_allclose(paired(first, other).probabilities, first.probabilities)


def test_other_cases_classes_or_truths_are_refused():
    first = random_table(BINARY)
    fewer = table_of(BINARY, first.truth[:118], first.probabilities[:118], name="fewer")
    with pytest.raises(InputError, match=r"fewer.csv lacks 2 cases of model.csv \(case118, case119\)"):
        paired(first, fewer)
    with pytest.raises(InputError, match=r"fewer.csv lacks 2 cases of model.csv"):
        paired(fewer, first)
    truth = first.truth.copy()
    truth[7] ^= True
    with pytest.raises(InputError, match=r"truth of the case 'case7' differs between model.csv and model.csv"):
        paired(first, table_of(BINARY, truth, first.probabilities))
    with pytest.raises(InputError, match=r"is a binary table of c0, c1, .* multi-class table of c0, c1, c2, c3"):
        paired(first, random_table(MULTI_CLASS))


@pytest.mark.parametrize("kind", KINDS)
def test_differences_and_tests_are_those_of_the_parts(kind):
    table = random_table(kind, skill=2.5)
    other = worse(table)
    evaluation = evaluate_classification(table, shuffled(other), resamples=2000)
    comparison, (first, second) = evaluation["comparison"], evaluation["models"]
    assert (comparison["first"], comparison["second"]) == ("model", "worse")
    for metric, entry in comparison["overall"].items():
        expected = first["overall"][metric]["value"] - second["overall"][metric]["value"]
        assert entry["difference"] == pytest.approx(expected)
        assert entry["ci95"][0] < entry["ci95"][1]
    low, high = comparison["overall"]["auc"]["ci95"]
    assert 0 < low < comparison["overall"]["auc"]["difference"] < high
    for n, target in enumerate(table.targets):
        scores = np.stack([table.probabilities[:, n], other.probabilities[:, n]])
        expected = auc_difference(auc_with_covariance(table.truth[:, n], scores))
        assert comparison["auc_tests"][target]["p"] == pytest.approx(expected.p)
        assert comparison["auc_tests"][target]["method"] == "DeLong"
    test = comparison["accuracy_test"]
    discordant = test["only_first_right"] + test["only_second_right"]
    assert test["p"] == pytest.approx(stats.binomtest(test["only_first_right"], discordant).pvalue)
    gained = (test["only_first_right"] - test["only_second_right"]) / 120
    assert comparison["overall"]["accuracy"]["difference"] == pytest.approx(gained)


def test_a_model_does_not_differ_from_itself():
    comparison = evaluate_classification(random_table(BINARY), random_table(BINARY), resamples=300)["comparison"]
    assert {entry["difference"] for entry in comparison["overall"].values()} == {0.0}
    assert {entry["ci95"] is None for entry in comparison["overall"].values()} == {True}
    assert comparison["auc_tests"]["c1"]["p"] == comparison["accuracy_test"]["p"] == 1
    assert (comparison["first"], comparison["second"]) != (comparison["second"], comparison["first"])


def test_patients_are_taken_together_and_the_first_tables_hold():
    single = random_table(BINARY, 80)
    double = [
        table_of(BINARY, *(np.repeat(array, 2, axis=0) for array in (each.truth, each.probabilities)), **more)
        for each, more in ((single, {"patients": np.repeat(np.arange(80), 2).astype(str)}), (worse(single), {}))
    ]
    once = evaluate_classification(single, worse(single))["comparison"]
    twice = evaluate_classification(*double)["comparison"]
    assert twice["auc_tests"]["c1"]["p"] == pytest.approx(once["auc_tests"]["c1"]["p"], abs=0.01)
    assert twice["accuracy_test"]["p"] == pytest.approx(once["accuracy_test"]["p"])
    assert twice["auc_tests"]["c1"]["method"] == "Obuchowski, by patient"
    assert twice["overall"]["brier"]["ci95"] == pytest.approx(once["overall"]["brier"]["ci95"], rel=0.05)


def test_a_class_that_no_case_has_is_not_tested():
    table = random_table(MULTI_CLASS)
    keep = ~table.truth[:, 3]
    first = table_of(MULTI_CLASS, table.truth[keep], table.probabilities[keep])
    comparison = evaluate_classification(first, worse(first), resamples=300)["comparison"]
    assert comparison["auc_tests"]["c3"] is None
    assert comparison["classes"]["c3"]["auc"] == {"difference": None, "ci95": None}
