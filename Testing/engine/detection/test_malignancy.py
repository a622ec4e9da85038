"""Findings are rated by a classifier of nodules, where there is one."""

from dataclasses import replace

import pytest
from tiny_classifier import write_tiny_classifier
from tiny_detector import chest, write_tiny_detector

from SlicerCNNSegLib.engine.classification.around import regions_around_findings
from SlicerCNNSegLib.engine.detection.malignancy import rated
from SlicerCNNSegLib.engine.errors import SettingsError, UnknownModelError
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings, DetectionSettings

SCALED = {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 600, "b_min": -1, "b_max": 1}
CROPPED = {"_target_": "ResizeWithPadOrCropd", "spatial_size": [8, 8, 8]}


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path))
    write_tiny_detector(tmp_path / "balls")
    return tmp_path


def classifier(folder, classes=("malignant", "benign")):
    named = [{"name": name} for name in classes]
    return write_tiny_classifier(folder, transforms=[SCALED, CROPPED], classes=named, channels=(("CT", "CT"),))


def found(model, **settings):
    return run(DetectionSettings(str(model), device="cpu", precision="fp32", **settings), [chest()])


def test_each_finding_has_the_classifiers_probability_around_it(models):
    own = classifier(models / "rater")
    result = found(models / "balls", malignancy="rater")
    assert len(result.findings) == 2
    regions = regions_around_findings(result.candidates)
    alone = run(ClassificationSettings(str(own), regions, device="cpu", precision="fp32"), [chest()])
    wanted = {one.name: one.probabilities[0] for one in alone.predictions}
    assert {one.id: one.malignancy for one in result.candidates} == pytest.approx(wanted)
    assert len(set(wanted.values())) == len(wanted)


def test_the_usual_classifier_is_taken_where_it_is_installed(models):
    assert all(one.malignancy is None for one in found(models / "balls", malignancy="none").candidates)
    classifier(models / "nodule-malignancy")
    assert all(one.malignancy is not None for one in found(models / "balls").candidates)
    assert all(one.malignancy is None for one in found(models / "balls", malignancy="none").candidates)
    assert all(one.malignancy is None for one in found(models / "balls", measure=False).candidates)


def test_what_could_not_be_measured_is_left_as_it_is(models):
    own = str(classifier(models / "rater"))
    first, second = found(models / "balls", malignancy="none").findings
    far = replace(first, measurements=None, box=replace(first.box, center_ras_mm=(9e3, 0.0, 0.0)))
    image = replace(chest(), channel_names=("of another name",))
    settings = DetectionSettings(str(models / "balls"), device="cpu", precision="fp32")
    (left, rated_one), _ = rated([far, second], image, own, settings, NoProgress())
    assert left == far
    assert 0 < rated_one.malignancy < 1


def test_a_classifier_that_cannot_rate_is_told(models):
    classifier(models / "kinds", classes=("bright", "dark"))
    with pytest.raises(SettingsError, match=r"the class 'malignant', but kinds has bright, dark"):
        found(models / "balls", malignancy="kinds")
    with pytest.raises(UnknownModelError, match=r"No model 'absent'"):
        found(models / "balls", malignancy="absent")
