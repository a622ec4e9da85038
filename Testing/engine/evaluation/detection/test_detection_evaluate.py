"""The evaluation put together: LUNA16's own tables, what a reader is told, what is refused; the plot and the text."""

import json

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import Cancelled, InputError, OutputError, SettingsError
from SlicerCNNSegLib.engine.evaluation.detection.evaluate import evaluate_detection
from SlicerCNNSegLib.engine.evaluation.detection.plot import draw_froc, write_froc_plot
from SlicerCNNSegLib.engine.evaluation.detection.summary import detection_summary
from SlicerCNNSegLib.engine.evaluation.detection.tables import read_findings
from SlicerCNNSegLib.engine.progress import RecordingProgress

FINDING = "seriesuid,coordX,coordY,coordZ,diameter_mm"
MARK = "seriesuid,coordX,coordY,coordZ,probability,diameter_mm"


@pytest.fixture
def tables(tmp_path):
    """Four scans; of three nodules two are found, one of them between two false positives of six marks."""
    texts = {
        "annotations": f"{FINDING}\na,0,0,0,10\na,50,0,0,10\nb,0,0,0,8\nz,0,0,0,8\n",
        "excluded": f"{FINDING}\nc,0,0,0,-1\n",
        "series": "a\nb\nc\nd\n",
        "predictions": f"{MARK}\na,0,0,0,.9,10\nc,40,0,0,.8,6\nb,1,0,0,.7,8\n"
        "c,0,0,0,.6,5\na,-40,0,0,.5,5\nz,0,0,0,1,5\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return {name: tmp_path / f"{name}.csv" for name in texts}


def test_the_whole_result_is_plain_data(tables):
    evaluation = evaluate_detection(**tables, seed=4)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    assert evaluation["settings"]["seed"] == 4
    assert evaluation["counts"] == {
        "scans": 4,
        "nodules": 3,
        "found": 2,
        "missed": 1,
        "excluded_findings": 1,
        "marks": {
            "hits": 2,
            "false_positives": 2,
            "on_excluded_findings": 1,
            "over_limit": 0,
            "in_unlisted_scans": 1,
        },
    }
    points = evaluation["froc"]["operating_points"]
    assert [point["sensitivity"] for point in points] == pytest.approx([1 / 3, *[2 / 3] * 6])
    assert evaluation["froc"]["cpm"]["value"] == pytest.approx(13 / 21)
    assert evaluation["froc"]["curve"] == {
        "false_positives_per_scan": [0, 0, 0.25, 0.25, 0.5],
        "sensitivity": pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3]),
        "threshold": [None, 0.9, 0.8, 0.7, 0.5],
    }
    assert evaluation["boxes"]["mean"] == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert evaluation["scan_level"]["auroc"] == pytest.approx(3 / 4)
    assert evaluation["missed"] == [{"series": "a", "center_mm": [50, 0, 0], "diameter_mm": 10}]


def test_what_a_reader_must_know(tables):
    tables["annotations"].write_text(f"{FINDING}\na,0,0,0,0\nz,0,0,0,8\n")
    assert evaluate_detection(**tables)["warnings"] == [
        "1 of 6 marks lie in scans that are not listed and do not count.",
        "1 of 2 nodules lie in scans that are not listed and do not count.",
        "1 of 4 scans have no mark; they count as searched.",
        "1 nodules have a diameter of 0 mm: no mark can hit them, they count as missed.",
    ]


def test_without_excluded_findings_their_marks_are_false_positives(tables):
    evaluation = evaluate_detection(**{**tables, "excluded": None})
    assert evaluation["counts"]["marks"]["false_positives"] == 3
    assert evaluation["settings"]["excluded"] is None


def test_a_detector_that_marks_every_nodule_of_luna16_and_nothing_else(data_folder, tmp_path):
    folder = data_folder / "luna16"
    nodules = read_findings(folder / "annotations.csv")
    rows = [
        f"{uid},{x},{y},{z},{1 / d}"
        for uid, (x, y, z), d in zip(nodules.series, nodules.center_mm, nodules.value, strict=True)
    ]
    (tmp_path / "marks.csv").write_text("\n".join([MARK.rpartition(",")[0], *rows]))
    evaluation = evaluate_detection(
        folder / "annotations.csv",
        folder / "seriesuids.csv",
        tmp_path / "marks.csv",
        excluded=folder / "annotations_excluded.csv",
        resamples=20,
    )
    assert evaluation["froc"]["cpm"] == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert evaluation["scan_level"] == {"scans": 888, "positive_scans": 601, "average_precision": 1.0, "auroc": 1.0}
    assert (evaluation["boxes"], evaluation["missed"]) == (None, [])


def test_same_seed_same_interval(tables):
    results = [evaluate_detection(**tables, seed=seed)["froc"]["band"] for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "annotations",
            f"{FINDING}\nz,0,0,0,8\n",
            r"Expected a nodule of .*annotations\.csv in at least one of the 4 scans",
        ),
        (
            "predictions",
            f"{MARK}\nz,0,0,0,.5,8\n",
            r"Expected marks in the 4 scans of .*, but all 1 of .* lie in others",
        ),
    ],
)
def test_tables_that_do_not_belong_together(tables, name, text, message):
    tables[name].write_text(text)
    with pytest.raises(InputError, match=message):
        evaluate_detection(**tables)


@pytest.mark.parametrize("option", [{"resamples": 0}, {"seed": -1}])
def test_wrong_settings(tables, option):
    with pytest.raises(SettingsError, match="Expected at least 1 draw and a seed of 0 or more, got"):
        evaluate_detection(**tables, **option)


def test_progress_goes_up_and_stops(tables):
    progress = RecordingProgress()
    evaluate_detection(**tables, progress=progress)
    fractions = [fraction for fraction, _ in progress.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    with pytest.raises(Cancelled):
        evaluate_detection(**tables, progress=RecordingProgress(cancel_at=0.3))


def test_plot_shows_the_curve_its_band_and_points(tables):
    evaluation = evaluate_detection(**tables)
    axes = draw_froc(evaluation).axes[0]
    curve, points = axes.lines
    x, y = curve.get_data()
    assert (x[-1], y[-1]) == (8, pytest.approx(2 / 3))  # level up to the last rate
    assert points.get_ydata() == pytest.approx([1 / 3, *[2 / 3] * 6])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (min(evaluation["froc"]["band"]["low"]), max(evaluation["froc"]["band"]["high"]))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert axes.get_title("left").startswith("CPM 0.619 [")
    assert axes.get_title("right") == "3 nodules in 4 scans"


def test_plot_of_one_scan_has_no_band(tables):
    tables["series"].write_text("a\n")
    evaluation = evaluate_detection(**tables)
    axes = draw_froc(evaluation).axes[0]
    assert len(axes.collections) == 0
    assert axes.get_title("left") == "CPM 0.500"


def test_plot_files_are_the_same_for_the_same_evaluation(tables, tmp_path):
    evaluation = evaluate_detection(**tables)
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        files = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for path in files:
            write_froc_plot(path, evaluation)
        first, second = (path.read_bytes() for path in files)
        assert first.startswith(start)
        assert first == second


def test_plot_that_cannot_be_written(tables, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*froc\.png"):
        write_froc_plot(tmp_path / "file" / "froc.png", evaluate_detection(**tables))


def test_summary_says_it_all(tables):
    lines = detection_summary(evaluate_detection(**tables)).splitlines()
    assert lines[0].startswith("CPM 0.619 [")
    assert lines[3].split()[:2] == ["1/8", "0.333"]
    assert "2 of 3 nodules found in 4 scans; 2 false positives, 1 marks on excluded findings." in lines
    assert "Box AP: 0.554 at IoU 0.1, 0.554 at IoU 0.3, 0.554 at IoU 0.5, mean 0.554 over 0.1 to 0.5." in lines
    assert "Scans with nodules: AUROC 0.750, average precision 0.833 (2 of 4 have one)." in lines
    assert lines[-1] == "Warning: 1 of 4 scans have no mark; they count as searched."


def test_summary_leaves_out_what_is_undefined(tables):
    tables["series"].write_text("a\n")
    tables["predictions"].write_text(f"{MARK.rpartition(',')[0]}\na,0,0,0,.9\n")
    lines = detection_summary(evaluate_detection(**tables)).splitlines()
    assert lines[0] == "CPM 0.500"
    assert not [line for line in lines if "Box" in line or "AUROC" in line]
    assert np.all([line.endswith("0.500") for line in lines[3:10]])
