"""The whole evaluation as plain data: what is in it, which interval is whose, and warnings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_tables import KINDS, random_table, table_of

from SlicerCNNSegLib.engine.errors import Cancelled, SettingsError
from SlicerCNNSegLib.engine.evaluation.classification.delong import auc_with_covariance
from SlicerCNNSegLib.engine.evaluation.classification.evaluate import evaluate_classification
from SlicerCNNSegLib.engine.evaluation.classification.intervals import share_interval
from SlicerCNNSegLib.engine.evaluation.classification.metrics import CLASS_METRICS, OVERALL_METRICS, decisions
from SlicerCNNSegLib.engine.evaluation.classification.tables import BINARY, MULTI_CLASS, MULTI_LABEL
from SlicerCNNSegLib.engine.evaluation.classification.text import summary_text
from SlicerCNNSegLib.engine.progress import RecordingProgress


@pytest.mark.parametrize("kind", KINDS)
def test_is_strict_json_with_an_interval_around_each_value(kind):
    evaluation = evaluate_classification(random_table(kind), resamples=2000)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    (model,) = evaluation["models"]
    assert list(model["overall"]) == list(OVERALL_METRICS)
    for entries in (model["overall"], *model["classes"].values()):
        for name in set(entries) - {"counts"}:
            low, high = entries[name]["ci95"]
            assert low <= entries[name]["value"] <= high, name
    for entries in model["classes"].values():
        assert list(entries) == ["counts", *CLASS_METRICS]


def test_each_interval_names_its_method():
    table = random_table(BINARY)
    (model,) = evaluate_classification(table)["models"]
    entries, counts = model["classes"]["c1"], model["classes"]["c1"]["counts"]
    assert entries["auc"]["method"] == "delong"
    expected = auc_with_covariance(table.truth[:, 0], table.probabilities.T).interval()
    assert entries["auc"]["ci95"] == pytest.approx(list(expected))
    assert entries["auc"]["bootstrap_ci95"] == pytest.approx(list(expected), abs=0.02)
    assert entries["sensitivity"]["method"] == model["overall"]["accuracy"]["method"] == "wilson"
    found = share_interval(counts["true_positive"], counts["true_positive"] + counts["false_negative"])
    assert entries["sensitivity"]["ci95"] == list(found)
    assert entries["f1"]["method"] == "bootstrap"


def test_with_patients_no_interval_takes_cases_for_independent():
    patients = np.repeat(np.arange(40), 3).astype(str)
    evaluation = evaluate_classification(random_table(BINARY, patients=patients), resamples=2000)
    (model,) = evaluation["models"]
    assert evaluation["data"]["patients"] == 40
    methods = {entry["method"] for name, entry in model["classes"]["c1"].items() if name != "counts"}
    assert methods == {"bootstrap", "obuchowski"}
    assert model["overall"]["accuracy"]["method"] == "bootstrap"


def test_confusion_matrix_has_the_truth_in_rows():
    table = random_table(MULTI_CLASS)
    (model,) = evaluate_classification(table, resamples=300)["models"]
    truth, decided = table.truth.argmax(axis=1), decisions(table, 0.5).argmax(axis=1)
    expected = np.zeros((4, 4), int)
    np.add.at(expected, (truth, decided), 1)
    assert model["confusion_matrix"] == {"classes": ["c0", "c1", "c2", "c3"], "counts": expected.tolist()}
    (model,) = evaluate_classification(random_table(BINARY))["models"]
    counts = model["classes"]["c1"]["counts"]
    assert model["confusion_matrix"]["counts"] == [
        [counts["true_negative"], counts["false_positive"]],
        [counts["false_negative"], counts["true_positive"]],
    ]
    assert evaluate_classification(random_table(MULTI_LABEL), resamples=300)["models"][0]["confusion_matrix"] is None


def test_threshold_moves_the_decisions_alone():
    (high,), (low,) = (
        evaluate_classification(random_table(BINARY), threshold=threshold, resamples=300)["models"]
        for threshold in (0.8, 0.2)
    )
    assert high["classes"]["c1"]["specificity"]["value"] > low["classes"]["c1"]["specificity"]["value"]
    assert high["classes"]["c1"]["sensitivity"]["value"] < low["classes"]["c1"]["sensitivity"]["value"]
    assert high["overall"]["auc"] == low["overall"]["auc"]


def test_same_seed_same_numbers():
    first, second, third = (
        evaluate_classification(random_table(BINARY), seed=seed, resamples=300) for seed in (1, 1, 2)
    )
    assert first == second
    assert first["models"][0]["overall"]["f1"]["ci95"] != third["models"][0]["overall"]["f1"]["ci95"]


def test_a_perfect_score_has_no_interval_but_wilsons():
    truth = np.arange(30)[:, None] % 2 == 0
    (model,) = evaluate_classification(table_of(BINARY, truth, truth.astype(float)))["models"]
    entries = model["classes"]["c1"]
    assert entries["auc"] == {"value": 1.0, "ci95": None, "method": None, "bootstrap_ci95": None}
    assert entries["f1"] == {"value": 1.0, "ci95": None, "method": None}
    assert entries["sensitivity"]["ci95"] == list(share_interval(15, 15))
    assert model["overall"]["accuracy"]["ci95"][0] == pytest.approx(0.886, abs=0.001)


def test_cases_of_one_patient_have_values_and_no_intervals():
    table = random_table(BINARY, 20, patients=["p"] * 20)
    (model,) = evaluate_classification(table)["models"]
    for entries in (model["overall"], model["classes"]["c1"]):
        assert {entry["ci95"] for name, entry in entries.items() if name != "counts"} == {None}


def test_classes_without_cases_and_with_few_are_warned_of():
    table = random_table(MULTI_CLASS, 24)
    keep = ~table.truth[:, 3]
    evaluation = evaluate_classification(table_of(MULTI_CLASS, table.truth[keep], table.probabilities[keep]))
    assert "No case is 'c3'; the class is left out of means." in evaluation["warnings"]
    assert any(text.startswith("Fewer than 10 cases of ") for text in evaluation["warnings"])
    (model,) = evaluation["models"]
    entry = model["classes"]["c3"]["auc"]
    assert entry == {"value": None, "ci95": None, "method": None, "bootstrap_ci95": None}
    text = summary_text(evaluation)
    assert "nan" not in text
    assert "Warning: No case is 'c3'" in text


def test_a_label_that_all_cases_have_is_warned_of():
    table = random_table(MULTI_LABEL)
    table.truth[:, 0] = True
    evaluation = evaluate_classification(table, resamples=300)
    assert "All cases are 'c0'; the class is left out of means." in evaluation["warnings"]
    assert evaluation["models"][0]["classes"]["c0"]["auc"]["value"] is None
    assert evaluation["models"][0]["overall"]["auc"]["value"] is not None


@pytest.mark.parametrize("threshold", [0, 1, -0.1, float("nan")])
def test_a_threshold_outside_0_and_1_is_refused(threshold):
    with pytest.raises(SettingsError, match="Expected a threshold between 0 and 1, got"):
        evaluate_classification(random_table(BINARY), threshold=threshold)


def test_a_single_bin_is_refused():
    with pytest.raises(SettingsError, match="Expected at least 2 bins for the calibration error, got 1"):
        evaluate_classification(random_table(BINARY), bins=1)


def test_progress_rises_to_the_end_and_it_can_be_stopped():
    progress = RecordingProgress()
    evaluate_classification(random_table(BINARY), random_table(BINARY), progress=progress)
    fractions = [fraction for fraction, _ in progress.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    with pytest.raises(Cancelled):
        evaluate_classification(random_table(BINARY), progress=RecordingProgress(cancel_at=0.0))
