"""``cnnseg evaluate detection``: the files, the summary, and what is refused."""

import json

import pytest
from tiny_cases import files_in

from SlicerCNNSegLib.engine.evaluation.detection import evaluate


@pytest.fixture
def line(tmp_path) -> list:
    """A right command, in a folder with its tables."""
    finding, mark = "seriesuid,coordX,coordY,coordZ,diameter_mm", "seriesuid\tcoordX\tcoordY\tcoordZ\tprobability"
    texts = {
        "annotations": f"{finding}\na,0,0,0,10\nb,9,9,9,-1\n",
        "excluded": f"{finding}\nb,50,0,0,-1\n",
        "series": "a\nb\n",
        "predictions": f"{mark}\na\t1\t1\t1\t.9\nb\t0\t0\t0\t.5\nb\t50\t0\t0\t.7\n",
    }
    words = ["evaluate", "detection"]
    for name, text in texts.items():
        path = tmp_path / "tables" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        words += [f"--{name}", path]
    return words


def test_numbers_and_plots_are_written_and_the_summary_shown(cnnseg, line, tmp_path):
    output = tmp_path / "new" / "detection.json"
    outcome = cnnseg(*line, "-o", output, "--seed", "3")
    assert (outcome.status, outcome.err) == (0, "")
    assert files_in(output.parent) == ["detection.json", "detection_froc.png", "detection_froc.svg"]
    evaluation = json.loads(output.read_text())
    assert evaluation["settings"]["seed"] == 3
    assert evaluation["froc"]["cpm"]["value"] == 0.5
    assert evaluation["counts"]["marks"]["on_excluded_findings"] == 1
    assert outcome.out.startswith("CPM 0.500 [")
    assert outcome.out.endswith("detection.json\n{0}.png\n{0}.svg\n".format(output.parent / "detection_froc"))


def test_quiet_prints_nothing_and_excluded_findings_are_optional(cnnseg, line, tmp_path):
    place = line.index("--excluded")
    outcome = cnnseg(*line[:place], *line[place + 2 :], "-o", tmp_path / "out.json", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert json.loads((tmp_path / "out.json").read_text())["counts"]["marks"]["on_excluded_findings"] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--predictions", "absent.csv"], "Cannot read absent.csv: No such file or directory; check the path."),
        (["--predictions", "tables/series.csv"], "add seriesuid, coordX, coordY, coordZ, probability."),
        (["--seed", "-1"], "a seed of 0 or more"),
        (["-o", "out.txt"], "Expected a file that ends in .json after -o, got out.txt"),
        (["-o", "tables/series.csv/out.json"], "Cannot write tables/series.csv/out.json"),
        (["--exclude", "x.csv"], "unrecognized arguments: --exclude"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(cnnseg, line, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    cnnseg(*line, "-o", "out.json", *more).assert_refused(2, message)
    assert files_in(tmp_path) == before


def test_nothing_is_written_when_it_is_stopped(cnnseg, line, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "judge", stop)
    (tmp_path / "out").mkdir()
    cnnseg(*line, "-o", tmp_path / "out" / "detection.json").assert_refused(130, "stopped.")
    assert files_in(tmp_path / "out") == []
