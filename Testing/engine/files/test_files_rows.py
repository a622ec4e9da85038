"""Rows of CSV tables: what is read, and what is refused."""

from __future__ import annotations

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.files.rows import read_rows


@pytest.fixture
def table(tmp_path):
    def write(text: str, encoding: str = "utf-8"):
        path = tmp_path / "T.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_by_column_without_spaces_and_with_their_place(table, delimiter):
    text = 'case, "truth" \nä , b\n\n"c",d e\n'.replace(",", delimiter)
    columns, rows = read_rows(table(text, "utf-8-sig"))
    assert columns == ("case", "truth")
    assert [row.cells for row in rows] == [{"case": "ä", "truth": "b"}, {"case": "c", "truth": "d e"}]
    assert [row.place for row in rows] == ["T.csv, row 2", "T.csv, row 4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows; give a header and a row for each case"),
        ("a,b\n\n", "has no rows"),
        ("a,b\n1,2,3\n", "T.csv, row 2 has 3 cells, the header 2"),
        ("a,b\n1\n", "T.csv, row 2 has 1 cells, the header 2"),
        ("a,b,a\n1,2,3\n", "the column 'a' twice; keep one"),
        ("a,\n1,2\n", "a column without a name; name it or remove it"),
    ],
)
def test_what_is_no_table_is_refused(table, text, message):
    with pytest.raises(InputError, match=message):
        read_rows(table(text))


def test_what_is_no_text_is_refused(table, tmp_path):
    with pytest.raises(FileReadError, match=r"cannot be read as a table .*; save it as CSV in UTF-8"):
        read_rows(table("ä,b\n1,2\n", "latin-1"))
    with pytest.raises(FileReadError, match="No such file"):
        read_rows(tmp_path / "absent.csv")
    with pytest.raises(FileReadError, match="field larger than field limit"):
        read_rows(table(f"a\n{'x' * 200_000}\n"))
