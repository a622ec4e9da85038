"""The command line that the panel starts, and what it understands of the answers."""

from __future__ import annotations

from pathlib import Path

from SlicerCNNSegLib.cli.main import parse
from SlicerCNNSegLib.cli.segment import settings_from
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.widgets.messages import LOG_LINES, Conversation, LineBuffer, segment_arguments


def test_the_command_line_understands_the_same_settings():
    settings = SegmentationSettings(
        model="my-model",
        regions=(
            Region("ras", (-40.25, 30.123456789, -5, 5, 0, 1), "left"),
            Region("ijk", (0, 5, 1, 6, 2, 7), "right"),
        ),
        device="cpu",
        precision="fp32",
        mirror=True,
        force=True,
    )
    script, *arguments = segment_arguments(settings, [Path("a.nrrd")], Path("out"))
    assert Path(script).name == "batch.py"
    assert Path(script).is_file()
    parsed = parse(arguments)
    understood = settings_from(parsed)
    assert set(understood.regions) == set(settings.regions)
    assert {**understood.to_json(), "regions": 0} == {**settings.to_json(), "regions": 0}
    assert (parsed.inputs, parsed.output, parsed.formats, parsed.json) == (["a.nrrd"], Path("out"), ["seg.nrrd"], True)


def test_a_conversation_that_goes_well():
    heard = Conversation()
    heard.hear('{"event": "start", "cases": ["a"]}')
    heard.hear('{"event": "progress", "fraction": 0.25, "stage": "Reading"}')
    assert (heard.fraction, heard.stage, heard.outputs) == (0.25, "Reading", ())
    heard.hear("a warning of some package")
    heard.hear('{"event": "case", "status": "done", "outputs": ["o/a.seg.nrrd", "o/a.run.json"]}')
    assert heard.outputs == (Path("o/a.seg.nrrd"), Path("o/a.run.json"))
    assert heard.problem == ""
    assert list(heard.log) == ["a warning of some package"]


def test_a_conversation_that_goes_wrong():
    heard = Conversation()
    heard.hear('{"event": "case", "status": "failed", "error": "InputError", "message": "The image is empty."}')
    assert heard.problem == "The image is empty."
    heard.hear('{"event": "error", "error": "ModelError", "message": "The model is broken.", "status": 1}')
    assert heard.problem == "The model is broken."
    assert heard.outputs == ()


def test_what_is_no_message_is_log():
    heard = Conversation()
    for line in ('{"event": "progr', "{}", '{"other": 1}', "[1]", ""):
        assert heard.hear(line) == {}
    assert list(heard.log) == ['{"event": "progr', "{}", '{"other": 1}', "[1]", ""]
    for number in range(LOG_LINES + 5):
        heard.hear(str(number))
    assert len(heard.log) == LOG_LINES
    assert heard.log[0] == "5"


def test_lines_come_whole_however_the_pipe_cuts_them():
    text = "eins\r\nzwei é\n\ndrei".encode()
    for size in (1, 2, 3, 7, 100):
        buffer, lines = LineBuffer(), []
        for start in range(0, len(text), size):
            lines += buffer.lines(text[start : start + size])
        assert lines == ["eins", "zwei é", ""]
        assert buffer.last() == ["drei"]
        assert buffer.last() == []
