"""``cnnseg-train check``, and the check at the start of ``cnnseg-train run``."""

import json
import shutil

import pytest
import SimpleITK as sitk

from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.data import reading


@pytest.fixture
def spoilt(boxes, tmp_path):
    """Nine good boxes, and one with an empty label."""
    shutil.copytree(boxes, tmp_path / "data")
    path = tmp_path / "data" / "labelsTr" / "box_03.nii.gz"
    sitk.WriteImage(sitk.ReadImage(path) * 0, path)
    return tmp_path / "data"


def run(*words):
    return main([str(word) for word in words])


def test_good_data_gives_tables_and_status_0(boxes, recipe_file, tmp_path, capsys):
    assert run("check", boxes, "--recipe", recipe_file, "-o", tmp_path / "report.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "case part size R-A-S spacing (mm) intensities Box (mm3) findings"
    assert lines[1].split()[3:5] == ["18x16x14", "1x1x1.5"]
    assert lines[1].endswith("441  ok")
    assert lines[13].split() == ["3", "Box", "10", "of", "10", "7.29%", "441", "/", "441", "/", "441"]
    assert lines[-3] == "10 cases: 0 errors, 0 warnings."
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["data"], report["errors"], len(report["cases"])) == (str(boxes), 0, 10)


def test_errors_give_status_1_and_stand_in_the_table(spoilt, recipe_file, tmp_path, capsys):
    assert run("check", spoilt, "--recipe", recipe_file, "-o", tmp_path / "report.json") == 1
    text = capsys.readouterr().out
    assert "EMPTY LABEL" in next(line for line in text.splitlines() if line.startswith("box_03 "))
    assert "error (empty label): box_03: the label holds no Box" in text
    assert "10 cases: 1 error, 0 warnings." in text
    [finding] = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["findings"]
    assert (finding["severity"], finding["kind"], finding["cases"]) == ("error", "empty label", ["box_03"])


def test_quiet_and_allow_empty(spoilt, recipe_file, capsys):
    assert run("check", spoilt, "--recipe", recipe_file, "--quiet", "--allow-empty") == 0
    assert capsys.readouterr().out.splitlines() == [
        "warning (empty label): box_03: the label holds no Box.",
        "10 cases: 0 errors, 1 warning.",
    ]


def test_a_case_that_cannot_be_read_has_a_row_too(spoilt, capsys):
    (spoilt / "imagesTr" / "box_05.nii.gz").write_bytes(b"")
    (spoilt / "dataset.json").write_text(json.dumps({"patients": {"box_05": "Jo"}}), encoding="utf-8")
    assert run("check", spoilt) == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("box_05"))
    assert row.split()[1] == "Jo"
    assert row.split()[-5:] == ["-", "-", "-", "-", "UNREADABLE"]


def test_wrong_usage_is_told(boxes, tmp_path, capsys):
    assert run("check", boxes, "-o", tmp_path / "report.txt") == 2
    assert "Expected a file that ends in .json after -o" in capsys.readouterr().err
    assert run("check", tmp_path / "nothing") == 1
    assert "Expected images in" in capsys.readouterr().err


def test_errors_stop_a_training_before_its_first_step(spoilt, recipe_file, tmp_path, capsys):
    assert run("plan", spoilt, "-o", tmp_path / "run", "--recipe", recipe_file) == 0
    assert run("run", tmp_path / "run") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error (empty label): box_03: ")
    assert lines[-1].startswith("cnnseg-train: error: The data check found: box_03: the label holds no Box")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["check.json", "data.json", "recipe.json"]


def test_a_run_reads_each_file_once(boxes, recipe_file, tmp_path, monkeypatch):
    read = []
    for name in ("read_volume", "read_labelmap"):
        real = getattr(reading, name)
        monkeypatch.setattr(reading, name, lambda path, real=real: read.append(path) or real(path))
    assert run("plan", boxes, "-o", tmp_path / "run", "--recipe", recipe_file, "--steps", 1) == 0
    assert run("run", tmp_path / "run") == 0
    assert sorted(read) == sorted(path for kind in ("imagesTr", "labelsTr") for path in (boxes / kind).iterdir())


def test_a_table_is_trained_and_evaluated_as_it_divides(boxes, recipe_file, tmp_path, capsys):
    lines = ["case,image,label,patient,split"]
    for number in range(10):
        folder = tmp_path / "data" / f"patient {number}"
        folder.mkdir(parents=True)
        for kind, name in (("imagesTr", "t1"), ("labelsTr", "mask")):
            shutil.copy(boxes / kind / f"box_{number:02d}.nii.gz", folder / f"{name}.nii.gz")
        split = {8: "validation", 9: "test"}.get(number, "train")
        lines.append(f"b{number},{folder.name}/t1.nii.gz,{folder.name}/mask.nii.gz,P{number},{split}")
    table = tmp_path / "data" / "cases.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    folder, fold = tmp_path / "run", tmp_path / "run" / "fold_0"
    assert run("auto", table, "-o", tmp_path / "model", "--run", folder, "--recipe", recipe_file) == 0
    split = json.loads((fold / "split.json").read_text(encoding="utf-8"))
    assert (split["training"], split["held_out"], split["test"]) == ([f"b{n}" for n in range(8)], ["b8"], ["b9"])
    report = json.loads((fold / "validation" / "plain" / "evaluation.json").read_text(encoding="utf-8"))
    assert [case["case"] for case in report["cases"]] == ["b8"]
    dice = report["summary"]["labels"]["3"]["metrics"]["dice"]["mean"]
    assert dice > 0.9
    assert f"Held out, mean over structures: Dice {dice:.4f}" in capsys.readouterr().out
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "1 were held out, 1 were kept for a test (as the data set's table divides them)" in card
    assert f"| Box | off | {dice:.3f}" in card
    assert "to" not in next(
        line for line in card.splitlines() if line.startswith("| Box | off")
    )  # of one case: no interval
    assert run("evaluate", folder, "--test") == 0
    out = capsys.readouterr().out
    report = json.loads((folder / "test" / "plain" / "evaluation.json").read_text(encoding="utf-8"))
    dice = report["summary"]["labels"]["3"]["metrics"]["dice"]["mean"]
    assert f"Test cases, Box: Dice {dice:.4f}" in out
    assert f"Worst: b9 {dice:.3f}" in out
    assert [case["case"] for case in report["cases"]] == ["b9"]
    assert run("evaluate", folder, "--test") == 2
    assert "The test cases were evaluated already: see" in capsys.readouterr().err
