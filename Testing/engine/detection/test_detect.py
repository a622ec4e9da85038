"""Findings in a made chest with balls at known places, through the front door."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_detector import BALL_MM, BALLS_RAS_MM, SPACING_MM, chest, write_tiny_detector

from SlicerCNNSegLib.engine.detection.search import Search
from SlicerCNNSegLib.engine.errors import (
    Cancelled,
    GeometryError,
    InputError,
    ModalityError,
    ModelError,
    RegionError,
    SettingsError,
)
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import DetectionSettings
from SlicerCNNSegLib.engine.volume import Volume


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny_detector(tmp_path_factory.mktemp("models") / "balls"))


@pytest.fixture(scope="module")
def volume():
    return chest()


@pytest.fixture(scope="module")
def result(model, volume):
    return run(DetectionSettings(model, malignancy="none", device="cpu", precision="fp32"), [volume])


def nearest(result, place):
    return min(result.findings, key=lambda one: np.linalg.norm(np.subtract(one.center_ras_mm, place)))


def test_every_ball_is_a_finding_at_its_place_and_nothing_else_is(result):
    assert len(result.findings) == len(BALLS_RAS_MM)
    for place in BALLS_RAS_MM:
        # anchors lie on every second voxel, so nearest ones are a voxel away along each axis
        assert np.linalg.norm(np.subtract(nearest(result, place).center_ras_mm, place)) <= np.sqrt(3) * SPACING_MM


def test_a_measured_box_lies_around_the_middle_of_what_was_segmented(model, volume, result):
    coarse = run(DetectionSettings(model, measure=False, device="cpu", precision="fp32"), [volume])
    for place in BALLS_RAS_MM:
        before, after = (nearest(one, place) for one in (coarse, result))
        away = [np.linalg.norm(np.subtract(one.center_ras_mm, place)) for one in (before, after)]
        assert away[1] < SPACING_MM / 2 < away[0]
        assert after.box.size_mm == before.box.size_mm


def test_findings_are_measured_located_and_drawn(result):
    right, left = (nearest(result, place) for place in BALLS_RAS_MM)
    assert right.location.startswith("right lung")
    assert left.location.startswith("left lung")
    assert "upper third" in left.location
    volume_mm3 = np.pi / 6 * BALL_MM**3
    for finding in (right, left):
        assert finding.measurements.volume_mm3 == pytest.approx(volume_mm3, rel=0.25)
        assert (finding.measurements.kind, finding.category) == ("solid", "4B")
        value = next(v for v, one in enumerate(result.candidates, start=1) if one is finding)
        drawn = np.count_nonzero(result.labelmap == value) * result.geometry.voxel_volume_mm3
        assert drawn == pytest.approx(finding.measurements.volume_mm3, rel=0.02)
        label = next(one for one in result.labels if one.value == value)
        assert label.name == f"Nodule {finding.id}"
        assert finding.id in result.nodules


def test_ids_go_by_the_score(result):
    scores = [one.score for one in result.candidates]
    assert scores == sorted(scores, reverse=True)
    assert [one.id for one in result.candidates] == [f"N{n:02d}" for n in range(1, len(scores) + 1)]


@pytest.mark.parametrize(("asked", "always", "passes"), [(False, False, 1), (True, False, 4), (False, True, 4)])
def test_the_mirrorings_that_a_model_was_trained_with_are_fused(
    tmp_path, volume, result, monkeypatch, asked, always, passes
):
    model = write_tiny_detector(tmp_path / "mirrored", mirror_axes=[0, 2], always_averaged=always)
    asked_for = []
    windows = Search.windows
    monkeypatch.setattr(Search, "windows", lambda self, *given: asked_for.append(given) or windows(self, *given))
    settings = DetectionSettings(str(model), malignancy="none", device="cpu", precision="fp32", mirror=asked)
    found = run(settings, [volume])
    assert len(asked_for) == passes
    assert len(found.findings) == len(BALLS_RAS_MM)
    for place in BALLS_RAS_MM:
        assert np.linalg.norm(np.subtract(nearest(found, place).center_ras_mm, place)) <= np.sqrt(3) * SPACING_MM
    assert found.record.settings["mirror"] is asked


def test_the_record_says_what_ran_and_what_to_know(result, model):
    record = result.record
    assert (record.task, record.model_id, record.device) == ("detection", "balls", "cpu")
    assert record.settings["model"] == model
    assert {"check", "lungs", "preprocess", "load model", "network", "measure"} <= record.seconds.keys()
    assert any("4.0 mm thick" in warning for warning in record.warnings)  # thick slices


def test_a_demonstration_says_so_in_its_record(tmp_path, volume, result):
    folder = write_tiny_detector(tmp_path / "demo")
    path, use = folder / "configs" / "metadata.json", "Demonstration, trained on balls."
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intended_use": use}), encoding="utf-8")
    shown = run(DetectionSettings(str(folder), measure=False, device="cpu", precision="fp32"), [volume])
    assert shown.record.warnings == (use, *result.record.warnings)


def test_a_threshold_moves_candidates_not_the_run(model, volume, result):
    strict = run(DetectionSettings(model, threshold=1.0, measure=False, device="cpu", precision="fp32"), [volume])
    assert strict.findings == ()
    assert len(strict.candidates) == len(result.candidates)
    assert not strict.labelmap.any()
    assert strict.candidates[0].measurements is None
    one = replace(result, threshold=result.candidates[0].score)
    assert [finding.id for finding in one.findings] == ["N01"]
    assert set(np.unique(one.finding_labelmap())) == {0, 1}


def test_the_same_chest_on_other_axes_gives_the_same_places(model, volume, result):
    turned = Volume(
        np.ascontiguousarray(volume.array[:, ::-1].transpose(0, 3, 1, 2)),
        volume.ijk_to_ras @ _turn(volume.geometry.size_ijk),
        modality="CT",
    )
    other = run(DetectionSettings(model, device="cpu", precision="fp32"), [turned])
    for place in BALLS_RAS_MM:
        np.testing.assert_allclose(nearest(other, place).center_ras_mm, nearest(result, place).center_ras_mm, atol=1e-6)


REGIONS = {
    "right half": Region("ras", (0, 200, -200, 200, -200, 200)),
    "around a ball": Region("ras", (-90, -60, -30, 10, 50, 75)),
    "voxels": Region("ijk", (0, 30, 0, 100, 0, 100)),
    "a box through a ball": Region("ras", (-200, 200, -200, 200, 55, 75)),
    "nothing in it": Region("ras", (-10, 10, -30, 10, 50, 75)),
}


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_gives_what_the_whole_gives_there(model, volume, result, name):
    """Same places, same scores: of the candidates of the whole those with their middle in the region."""
    region = REGIONS[name]
    settings = DetectionSettings(model, (region,), device="cpu", precision="fp32")
    found = run(settings, [volume])
    start, stop = region.index_box(volume.geometry)

    def is_inside(one):
        index = np.rint(volume.geometry.ijk_from_ras(np.array(one.center_ras_mm)))
        return (index >= start).all() and (index < stop).all()

    wanted = [one for one in result.candidates if is_inside(one)]
    assert (len(wanted) > 0) == (name != "nothing in it")
    assert [one.center_ras_mm for one in found.candidates] == [one.center_ras_mm for one in wanted]
    np.testing.assert_allclose([one.score for one in found.candidates], [one.score for one in wanted], rtol=1e-5)
    assert found.record.settings["regions"] == [str(region)]


def test_several_regions_are_searched_together_and_less_of_the_network_is_run(model, volume, result):
    places = [Region("ras", tuple(c + d for c in one for d in (-15, 15))) for one in BALLS_RAS_MM]
    both = run(DetectionSettings(model, tuple(places), device="cpu", precision="fp32"), [volume])
    assert len(both.findings) == len(BALLS_RAS_MM)
    how = Search((((1, 1, 1),),), (16, 16, 16), 0.25)
    where, within = np.ones((64, 64, 64), bool), np.zeros((64, 64, 64), bool)
    within[2:5, 2:5, 2:5] = True
    assert len(how.windows(where.shape, where, within)) == 1 < len(how.windows(where.shape, where)) // 8


def test_a_region_without_lung_or_image_is_told(model, volume):
    corner = Region("ijk", (0, 2, 0, 2, 0, 2))
    found = run(DetectionSettings(model, (corner,), device="cpu", precision="fp32"), [volume])
    assert found.candidates == ()
    assert "The region that was searched holds no lung; nothing can be found in it." in found.record.warnings
    with pytest.raises(RegionError, match="holds no voxel of the image"):
        run(DetectionSettings(model, (Region("ras", (900, 950, 0, 9, 0, 9)),), device="cpu"), [volume])


def _turn(size_ijk):
    """From indices of an array whose axes (k, j, i) are (i, -k, j) of the other to the other's."""
    turn = np.zeros((4, 4))
    turn[0, 2] = turn[1, 0] = turn[3, 3] = 1
    turn[2, 1], turn[2, 3] = -1, size_ijk[2] - 1
    return turn


def test_what_cannot_be_searched_is_refused_in_words(model, volume):
    settings = DetectionSettings(model, device="cpu", precision="fp32")
    with pytest.raises(ModalityError, match=r"expects CT, but .* is tagged MR"):
        run(settings, [replace(volume, modality="MR")])
    with pytest.raises(ModalityError, match=r"Expected a chest CT"):
        run(replace(settings, force=True), [replace(volume, modality="MR")])
    with pytest.raises(GeometryError, match=r"is one slice; give the whole series"):
        run(settings, [volume.cropped((0, 0, 30), (*volume.geometry.size_ijk[:2], 31))])
    tissue = np.where(volume.array < -700, 40, volume.array)
    with pytest.raises(InputError, match=r"[Ll]ungs"):
        run(settings, [replace(volume, array=tissue)])


def test_a_lung_that_is_cut_off_is_told(model, volume):
    cut = volume.cropped((0, 0, 25), volume.geometry.size_ijk)
    found = run(DetectionSettings(model, measure=False, device="cpu", precision="fp32"), [cut])
    assert sum("cut off" in warning for warning in found.record.warnings) == 2


def test_a_run_can_be_stopped_while_it_measures(model, volume):
    progress = RecordingProgress(cancel_at=0.72)
    with pytest.raises(Cancelled):
        run(DetectionSettings(model, device="cpu", precision="fp32"), [volume], progress)
    assert progress.reports[-1][1] == "Measuring"


def test_models_that_are_no_detectors_are_told(tmp_path, volume):
    with pytest.raises(SettingsError, match=r"is for classification; choose one for detection"):
        run(DetectionSettings(str(write_tiny_detector(tmp_path / "other", task="classification"))), [volume])
    broken = write_tiny_detector(tmp_path / "broken", threshold="high")
    with pytest.raises(ModelError, match=r"has a wrong one: could not convert"):
        run(DetectionSettings(str(broken)), [volume])
    with pytest.raises(ModelError, match=r"needs merge_overlap from 0 to below 1, got 2"):
        run(DetectionSettings(str(write_tiny_detector(tmp_path / "far", merge_overlap=2))), [volume])
    with pytest.raises(ModelError, match=r"needs a candidate_score up to its threshold"):
        run(DetectionSettings(str(write_tiny_detector(tmp_path / "upside", candidate_score=0.9))), [volume])
    with pytest.raises(ModelError, match=r"needs mirror_axes out of 0, 1, 2, got \[0, 3\]"):
        run(DetectionSettings(str(write_tiny_detector(tmp_path / "turned", mirror_axes=[0, 3]))), [volume])
    with pytest.raises(SettingsError, match=r"threshold from 0 to 1, got 2"):
        DetectionSettings(str(broken), threshold=2)
