"""Which tasks a folder or a table is for, and what there is to learn in it."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_cases import write_image
from tiny_tables import write_table

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.cli.main import main
from SlicerCNNSegTrainLib.engine.data.contents import Contents, look_into
from SlicerCNNSegTrainLib.engine.data.tasks import choose_task, tasks_of

SEGMENTS, DETECTS, CLASSIFIES = "segmentation", "detection", "classification"


@pytest.fixture
def a_table(tmp_path):
    """Writes a table about two images (files that nobody reads), ``a`` and ``b``."""

    def make(columns, *rows):
        for name in ("a", "b"):
            (tmp_path / f"{name}.nii.gz").touch()
        return write_table(tmp_path / "cases.csv", columns.split(), [row.split() for row in rows])

    return make


def allowed(path):
    return [task for task, reason in tasks_of(path).items() if not reason]


@pytest.mark.parametrize(
    ("columns", "row", "tasks"),
    [
        ("image label", "a.nii.gz a.nii.gz", [SEGMENTS]),
        ("image x y z diameter", "a.nii.gz 1 2 3 4", [DETECTS]),
        ("image class", "a.nii.gz ill", [CLASSIFIES]),
        ("image ill calcified", "a.nii.gz 0 1", [CLASSIFIES]),
        ("image x y z diameter class", "a.nii.gz 1 2 3 4 ill", [DETECTS, CLASSIFIES]),
        ("T1 T2 label class", "a.nii.gz b.nii.gz a.nii.gz ill", [SEGMENTS, CLASSIFIES]),
        ("image x y diameter", "a.nii.gz 1 2 4", []),
    ],
)
def test_the_columns_say_which_tasks_a_table_is_for(a_table, columns, row, tasks):
    assert allowed(a_table(columns, row)) == tasks


def test_a_folder_is_for_segmentation(tmp_path):
    assert allowed(tmp_path) == [SEGMENTS]
    assert tasks_of(tmp_path)[DETECTS] == "A detection is trained from a table (CSV)."


def test_what_lacks_is_told(a_table):
    table = a_table("image x y diameter", "a.nii.gz 1 2 4")
    assert tasks_of(table)[DETECTS] == "cases.csv lacks the column 'z'."
    with pytest.raises(SettingsError, match=r"Expected in cases.csv the columns of a task \(segmentation: label; "):
        choose_task(table)


def test_of_several_tasks_one_is_to_be_named(a_table):
    table = a_table("image x y z diameter class", "a.nii.gz 1 2 3 4 ill")
    with pytest.raises(SettingsError, match=r"cases.csv allows detection and classification; say which with --task"):
        choose_task(table)
    assert choose_task(table, CLASSIFIES) == (CLASSIFIES, "as asked; the data allows detection too")
    with pytest.raises(SettingsError, match=r"Expected data for a segmentation: cases.csv lacks the column 'label'"):
        choose_task(table, SEGMENTS)


def test_one_table_for_several_tasks_is_read_for_each(a_table):
    rows = ("a.nii.gz 1 2 3 4 ill train a.nii.gz", "b.nii.gz 1 2 3 4 well validation b.nii.gz")
    table = a_table("image x y z diameter class split label", *rows)
    contents = look_into(table)
    assert contents.cases[DETECTS] == contents.cases[SEGMENTS] == (("a", "train"), ("b", "validation"))
    assert [(one.name, one.cases) for one in contents.labels[CLASSIFIES]] == [("ill", 1), ("well", 1)]
    assert [(one.name, one.cases) for one in contents.labels[DETECTS]] == [("Nodule", 2)]
    assert contents.labels[SEGMENTS] == (), "unnamed labels are known when their files are read"


def test_unnamed_labels_are_found_in_the_files(tmp_path):
    for name, values in (("one", (2, 5)), ("two", (5,))):
        truth = np.zeros((4, 5, 6), np.uint8)
        for value in values:
            truth[value - 2] = value
        write_image(tmp_path / "imagesTr" / f"{name}.nii.gz", truth.astype(np.float32))
        write_image(tmp_path / "labelsTr" / f"{name}.nii.gz", truth)
    (tmp_path / "labelsTr" / "three.nii.gz").write_bytes(b"no image")
    (tmp_path / "imagesTr" / "three.nii.gz").write_bytes(b"no image")
    contents = look_into(tmp_path, NoProgress())
    assert [(one.name, one.value, one.cases) for one in contents.labels[SEGMENTS]] == [
        ("label 2", 2, 1),
        ("label 5", 5, 2),
    ]
    assert Contents.from_json(contents.to_json()) == contents


@pytest.mark.parametrize("command", ["plan", "check"])
def test_other_tasks_than_segmentation_need_a_recipe(a_table, tmp_path, capsys, command):
    table = a_table("image x y z diameter", "a.nii.gz 1 2 3 4")
    output = {"plan": tmp_path / "run", "check": tmp_path / "check.json"}[command]
    assert main([command, str(table), "-o", str(output)]) == 2
    assert "Expected --recipe for a detection (the only one that the data allows): nodule-d" in capsys.readouterr().err
    assert not output.exists()


def test_a_recipe_for_another_task_is_refused(a_table, tmp_path, capsys):
    table = a_table("image x y z diameter class", "a.nii.gz 1 2 3 4 ill")
    words = ["plan", str(table), "-o", str(tmp_path / "run"), "--recipe", "mednist-kind", "--task", "detection"]
    assert main(words) == 2
    assert "Expected a recipe for a detection, got 'mednist-kind' for a classification." in capsys.readouterr().err


def test_the_check_of_a_classification_counts_classes(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(10):
        name = f"{number}.nii.gz"
        write_image(tmp_path / name, rng.normal(size=(1, 64, 64)).astype(np.float32))
        rows.append([name, "Hand" if number % 2 else "CXR"])
    table = write_table(tmp_path / "kinds.csv", ["image", "class"], rows)
    assert main(["check", str(table), "--recipe", "mednist-kind"]) == 1
    said = capsys.readouterr().out
    assert "no training image is of AbdomenCT" in said
    assert [line.split() for line in said.splitlines() if line.startswith(("Hand", "CXR"))] == [
        ["CXR", "5"],
        ["Hand", "5"],
    ]
