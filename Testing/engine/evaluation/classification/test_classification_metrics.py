"""Every metric against scikit-learn, for each kind of table, weighted and with ties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle
from tiny_tables import KINDS, random_table, table_of

from SlicerCNNSegLib.engine.evaluation.classification.metrics import OVERALL, Metrics, decisions
from SlicerCNNSegLib.engine.evaluation.classification.tables import BINARY, MULTI_CLASS, MULTI_LABEL


def values(table, weights=None, *, threshold=0.5, bins=10) -> dict[tuple[str, str], float]:
    """The metrics with the given weights (once each by default)."""
    metrics = Metrics(table, threshold=threshold, bins=bins)
    weights = np.ones(len(table.cases)) if weights is None else weights
    return dict(zip(metrics.keys, metrics.values(weights[None])[0], strict=True))


def of_class(truth, decided, probabilities, weights) -> dict[str, float]:
    """scikit-learn's reading of one class against the rest."""
    given = {"sample_weight": weights}
    return {
        "sensitivity": oracle.recall_score(truth, decided, **given),
        "specificity": oracle.recall_score(~truth, ~decided, **given),
        "ppv": oracle.precision_score(truth, decided, **given),
        "npv": oracle.precision_score(~truth, ~decided, **given),
        "f1": oracle.f1_score(truth, decided, **given),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, decided, **given),
        "kappa": oracle.cohen_kappa_score(truth, decided, **given),
        "auc": oracle.roc_auc_score(truth, probabilities, **given),
        "pr_auc": oracle.average_precision_score(truth, probabilities, **given),
        "brier": oracle.brier_score_loss(truth, probabilities, **given),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True], ids=["once", "weighted"])
@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_each_class_is_as_scikit_learn_says(kind, weighted, decimals):
    table = random_table(kind, decimals=decimals)
    weights = np.random.default_rng(5).integers(0, 4, len(table.cases)).astype(float) if weighted else np.ones(120)
    found = values(table, weights, threshold=0.4)
    decided = decisions(table, 0.4)
    for n, target in enumerate(table.targets):
        expected = of_class(table.truth[:, n], decided[:, n], table.probabilities[:, n], weights)
        assert {name: found[target, name] for name in expected} == pytest.approx(expected)


def test_overall_of_a_binary_table_is_its_class_and_the_accuracy():
    table = random_table(BINARY)
    found = values(table)
    for name in ("balanced_accuracy", "f1", "auc", "pr_auc", "kappa", "ece", "brier"):
        assert found[OVERALL, name] == found["c1", name]
    assert found[OVERALL, "accuracy"] == oracle.accuracy_score(table.truth, decisions(table, 0.5))


@pytest.mark.parametrize("weighted", [False, True], ids=["once", "weighted"])
def test_overall_of_a_multi_class_table_is_as_scikit_learn_says(weighted):
    table = random_table(MULTI_CLASS, decimals=12)  # its oracle of the AUC wants sums of exactly 1
    weights = np.random.default_rng(5).integers(0, 4, 120).astype(float) if weighted else np.ones(120)
    found = values(table, weights)
    truth, decided = table.truth.argmax(axis=1), table.probabilities.argmax(axis=1)
    given = {"sample_weight": weights}
    expected = {
        "accuracy": oracle.accuracy_score(truth, decided, **given),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, decided, **given),
        "f1": oracle.f1_score(truth, decided, average="macro", **given),
        "auc": np.mean([oracle.roc_auc_score(truth == n, table.probabilities[:, n], **given) for n in range(4)]),
        "pr_auc": oracle.average_precision_score(table.truth, table.probabilities, average="macro", **given),
        "kappa": oracle.cohen_kappa_score(truth, decided, **given),
        "brier": oracle.brier_score_loss(truth, table.probabilities, **given),
    }
    assert {name: found[OVERALL, name] for name in expected} == pytest.approx(expected)
    if not weighted:
        one_vs_rest = oracle.roc_auc_score(truth, table.probabilities, multi_class="ovr")
        assert found[OVERALL, "auc"] == pytest.approx(one_vs_rest)


def test_overall_of_a_multi_label_table_is_as_scikit_learn_says():
    table = random_table(MULTI_LABEL)
    found, decided = values(table), decisions(table, 0.5)
    expected = {
        "accuracy": oracle.accuracy_score(table.truth, decided),
        "f1": oracle.f1_score(table.truth, decided, average="macro"),
        "auc": oracle.roc_auc_score(table.truth, table.probabilities, average="macro"),
        "pr_auc": oracle.average_precision_score(table.truth, table.probabilities, average="macro"),
        "brier": np.mean((table.truth - table.probabilities) ** 2),
    }
    assert {name: found[OVERALL, name] for name in expected} == pytest.approx(expected)
    for name in ("kappa", "balanced_accuracy", "ece"):
        assert found[OVERALL, name] == pytest.approx(np.mean([found[target, name] for target in table.targets]))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_a_case_as_often_as_it_is_drawn(kind):
    table = random_table(kind)
    drawn = np.random.default_rng(1).integers(0, 120, 120)
    again = table_of(kind, table.truth[drawn], table.probabilities[drawn])
    weighted = values(table, np.bincount(drawn, minlength=120).astype(float))
    assert weighted == pytest.approx(values(again), nan_ok=True)


def test_agreement_with_a_reader_is_over_the_cases_that_were_read():
    rng = np.random.default_rng(3)
    table = random_table(MULTI_CLASS)
    chosen = np.where(rng.random(120) < 0.3, rng.integers(0, 4, 120), table.truth.argmax(axis=1))
    read = rng.random(120) < 0.6
    reader = np.eye(4, dtype=bool)[chosen]
    found = values(table_of(MULTI_CLASS, table.truth, table.probabilities, reader=reader & read[:, None], read=read))
    decided, truth = table.probabilities.argmax(axis=1), table.truth.argmax(axis=1)
    assert found[OVERALL, "kappa_reader"] == pytest.approx(oracle.cohen_kappa_score(decided[read], chosen[read]))
    assert found[OVERALL, "kappa_reader_truth"] == pytest.approx(oracle.cohen_kappa_score(chosen[read], truth[read]))


def test_a_class_that_no_case_has_is_undefined_and_left_out_of_means():
    table = random_table(MULTI_CLASS)
    keep = ~table.truth[:, 3]
    found = values(table_of(MULTI_CLASS, table.truth[keep], table.probabilities[keep]))
    for name in ("sensitivity", "auc", "pr_auc"):
        assert np.isnan(found["c3", name])
    assert found[OVERALL, "auc"] == pytest.approx(np.mean([found[f"c{n}", "auc"] for n in range(3)]))
    truth, decided = table.truth[keep].argmax(axis=1), table.probabilities[keep].argmax(axis=1)
    recalls = oracle.recall_score(truth, decided, labels=[0, 1, 2], average="macro")
    assert found[OVERALL, "balanced_accuracy"] == pytest.approx(recalls)


def test_kappa_is_undefined_where_chance_explains_everything():
    truth = np.array([[True], [False], [True]])
    reader = np.ones((3, 1), dtype=bool)
    read = np.array([True, False, True])
    found = values(table_of(BINARY, truth, np.full((3, 1), 0.9), reader=reader & read[:, None], read=read))
    assert np.isnan(found[OVERALL, "kappa_reader"])
    assert found[OVERALL, "kappa"] == 0


def test_a_probability_at_the_threshold_is_a_decision_for_the_class():
    table = table_of(BINARY, np.array([[True], [False]]), np.array([[0.3], [0.2999]]))
    assert decisions(table, 0.3).tolist() == [[True], [False]]
