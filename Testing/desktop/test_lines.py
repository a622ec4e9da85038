"""Lines out of what a child process writes."""

from __future__ import annotations

from SlicerCNNSegLib.widgets.lines import LineBuffer


def test_lines_come_whole_however_the_pipe_cuts_them():
    text = "eins\r\nzwei é\n\ndrei".encode()
    for size in (1, 2, 3, 7, 100):
        buffer, lines = LineBuffer(), []
        for start in range(0, len(text), size):
            lines += buffer.lines(text[start : start + size])
        assert lines == ["eins", "zwei é", ""]
        assert buffer.last() == ["drei"]
        assert buffer.last() == []
