"""LUNA16's tables: what is read, and what is refused with its place."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.evaluation.detection.tables import read_findings, read_marks, read_series

FINDING = "seriesuid,coordX,coordY,coordZ,diameter_mm"
MARK = "seriesuid,coordX,coordY,coordZ,probability"


@pytest.fixture
def written(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_findings_of_luna16(data_folder):
    folder = data_folder / "luna16"
    series = read_series(folder / "seriesuids.csv")
    nodules, excluded = read_findings(folder / "annotations.csv"), read_findings(folder / "annotations_excluded.csv")
    assert (len(series), len(nodules), len(excluded)) == (888, 1186, 35192)
    assert set(nodules.series) <= set(series)
    assert nodules.center_mm[0].tolist() == [-128.6994211, -175.3192718, -298.3875064]
    assert nodules.value[0] == 5.651470635
    assert nodules.size_mm is None
    assert set(excluded.value[excluded.value < 0]) == {-1}


@pytest.mark.parametrize("separator", [",", "\t"])
def test_columns_are_found_by_name(written, separator):
    lines = [
        ("probability", "note", "coordZ", "seriesuid", "coordY", "coordX"),
        (".5", "a b", "3", " s1 ", "2", "-1e1"),
    ]
    marks = read_marks(written("\r\n".join(separator.join(line) for line in lines)))
    assert (marks.series, marks.center_mm.tolist(), marks.value.tolist()) == (("s1",), [[-10, 2, 3]], [0.5])
    assert marks.size_mm is None


def test_quotes_byte_order_mark_and_blank_lines(written):
    marks = read_marks(written(f'\ufeff{MARK}\n\n"s,1",1,2,3,-7\n , ,,,\n'))
    assert (marks.series, marks.value.tolist()) == (("s,1",), [-7])


def test_a_heading_alone_is_no_mark(written):
    marks = read_marks(written(f"{MARK},diameter_mm\n"))
    assert (len(marks), marks.center_mm.shape, marks.size_mm.shape) == (0, (0, 3), (0, 3))


def test_sizes_of_boxes(written):
    assert read_marks(written(f"{MARK},diameter_mm\ns,1,2,3,.5,8\n")).size_mm.tolist() == [[8, 8, 8]]
    sizes = f"{MARK},diameter_mm,sizeX_mm,sizeY_mm,sizeZ_mm\ns,1,2,3,.5,8,4,5,6\n"
    assert read_marks(written(sizes)).size_mm.tolist() == [[4, 5, 6]]
    findings = f"{FINDING},sizeX_mm,sizeY_mm,sizeZ_mm\ns,1,2,3,-1,4,5,6\n"
    assert read_findings(written(findings)).size_mm.tolist() == [[4, 5, 6]]


@pytest.mark.parametrize("text", ["a\nb\n", "seriesuid\na\nb", "a,1\r\n\r\nb,2\r\n", "a\t\nb\t\n"])
def test_series_are_the_first_column(written, text):
    assert read_series(written(text)) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"in the first line of .*table\.csv, .* got nothing; add seriesuid, coordX"),
        ("seriesuid,coordX,coordY\n", r"got seriesuid, coordX, coordY; add coordZ, probability\."),
        (FINDING, r"add probability\."),
        (MARK.replace(",", ";"), "separated by commas or tabs"),
        (f"{MARK}\ns,1,2,3,.5\ns,1,2,3\n", r"Expected 5 fields in line 3 of .*table\.csv, got 4; complete it\."),
        (f"{MARK}\n\ns,1,x,3,.5\n", r"finite number for coordY in line 3 of .*table\.csv, got 'x'; correct it"),
        (f"{MARK}\ns,1,2,3,nan\n", r"finite number for probability in line 2 .* got 'nan'"),
        (f"{MARK}\ns,inf,2,3,.5\n", r"finite number for coordX in line 2 .* got 'inf'"),
        (f"{MARK},diameter_mm\ns,1,2,3,.5,0\n", r"finite number above 0 for diameter_mm in line 2 .* got '0'"),
    ],
)
def test_marks_that_are_refused(written, text, message):
    with pytest.raises(InputError, match=message):
        read_marks(written(text))


def test_findings_that_are_refused(written):
    with pytest.raises(InputError, match=r"add diameter_mm\."):
        read_findings(written(MARK))
    with pytest.raises(InputError, match=r"for diameter_mm in line 2 .* got ''"):
        read_findings(written(f"{FINDING}\ns,1,2,3,\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "Expected one seriesuid per line in .* got none"),
        ("seriesuid\n", "Expected one seriesuid per line in .* got none"),
        ("a\nb\na\n", "Expected every scan once in .*, got a twice"),
    ],
)
def test_series_that_are_refused(written, text, message):
    with pytest.raises(InputError, match=message):
        read_series(written(text))


def test_files_that_are_no_tables(written, tmp_path):
    with pytest.raises(FileReadError, match=r"Cannot read .*absent\.csv: No such file or directory; check the path"):
        read_marks(tmp_path / "absent.csv")
    with pytest.raises(FileReadError, match=r"Expected a table of text \(UTF-8\) in .*table\.csv"):
        read_marks(written(np.arange(256, dtype=np.uint8).tobytes()))
    with pytest.raises(FileReadError, match=r"Expected a table of text \(UTF-8\) in .* field larger than field limit"):
        read_marks(written("a" * 200_000))
