"""The worker's small parts: frames, shared arrays, logs, the time left, the fake."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import Cancelled, InputError, WorkerError
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.worker import logs, memory
from SlicerCNNSegLib.worker.estimate import TimeLeft, in_words
from SlicerCNNSegLib.worker.fake import FakeWorker
from SlicerCNNSegLib.worker.frames import PREAMBLE, FrameReader, packed
from SlicerCNNSegLib.worker.interface import Ended, Progressed
from SlicerCNNSegLib.worker.memory import Arena

SETTINGS = SegmentationSettings("m")
MESSAGES = [{"kind": "a", "text": "é\n\0"}, {"kind": "b", "n": 1.5}, {"kind": "c", "list": [None, True]}]


def test_messages_come_whole_however_the_pipe_cuts_them():
    data = b"printed by a launcher" + PREAMBLE + b"".join(packed(message) for message in MESSAGES)
    for size in (1, 2, 3, 7, 1000):
        reader, messages = FrameReader(PREAMBLE), []
        for start in range(0, len(data), size):
            messages += reader.feed(data[start : start + size])
        assert messages == MESSAGES


@pytest.fixture
def an_arena(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    arena = Arena.create([tmp_path / "first", tmp_path / "second"])
    yield arena
    arena.remove()
    assert [*(tmp_path / "first").iterdir(), *(tmp_path / "second").iterdir()] == []


def files(arena):
    return [path for folder in arena.folders for path in folder.iterdir() if path.name != memory.LOCK]


def test_an_array_that_was_taken_has_no_name_any_more_and_is_ones_own(an_arena):
    array = np.arange(24.0).reshape(2, 3, 4)[:, ::-1]
    where = an_arena.store(array)
    (file,) = files(an_arena)
    assert file.stat().st_size == array.nbytes
    assert file.parent.stat().st_mode & 0o777 == 0o700
    taken = Arena(an_arena.folders).take(where)
    assert files(an_arena) == []
    np.testing.assert_array_equal(taken, array)
    taken[:] = 0
    assert array.sum() == 276
    with pytest.raises(WorkerError, match=r"An array of shape \(2, 3, 4\) did not .* \(.*No such file"):
        an_arena.take(where)


def test_an_array_that_is_not_whole_is_refused(an_arena):
    where = an_arena.store(np.zeros((4, 5), np.int16))
    with pytest.raises(WorkerError, match=r"An array of shape \(4, 6\) did not"):
        an_arena.take({**where, "shape": [4, 6]})


def test_no_path_leads_out_of_the_arena(an_arena, tmp_path):
    (tmp_path / "other").write_bytes(bytes(8))
    with pytest.raises(WorkerError, match="did not"):
        an_arena.take({"folder": 0, "name": "../../other", "dtype": "u1", "shape": [8]})
    assert (tmp_path / "other").exists()


def test_it_is_written_plane_by_plane_and_giving_up_leaves_nothing(an_arena):
    steps = an_arena.writing(np.zeros((2, 5, 3, 3)))
    for _ in range(4):
        next(steps)
    (file,) = files(an_arena)
    assert file.stat().st_size == 4 * 9 * 8
    steps.close()
    assert files(an_arena) == []


def test_where_memory_is_full_the_next_folder_is_taken(an_arena, monkeypatch):
    real = memory._write

    def full(file, plane):
        if file.name.startswith(str(an_arena.folders[0])):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, plane)

    monkeypatch.setattr(memory, "_write", full)
    array = np.arange(100)
    where = an_arena.store(array)
    assert [path.parent for path in files(an_arena)] == [an_arena.folders[1]]
    np.testing.assert_array_equal(an_arena.take(where), array)
    with pytest.raises(OSError, match="No space left"):
        Arena(an_arena.folders[:1]).store(array)
    assert files(an_arena) == []


def test_abandoned_folders_are_removed_and_those_of_the_living_are_not(tmp_path):
    living = Arena.create([tmp_path])
    dead = tmp_path / f"{memory.PREFIX}dead"
    dead.mkdir()
    (dead / memory.LOCK).touch()
    (dead / "array").write_bytes(b"voxels")
    other = tmp_path / "other"
    other.mkdir()
    memory.remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {*living.folders, other}
    living.remove()
    assert list(tmp_path.iterdir()) == [other]


def test_the_newest_logs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path / "new" / "logs"))
    made = []
    for n in range(logs.KEPT + 3):
        made.append(logs.new_log())
        os.utime(made[-1], (n, n))
    assert set((tmp_path / "new" / "logs").iterdir()) == set(made[-logs.KEPT :])
    assert made[-1].stat().st_mode & 0o777 == 0o600


def test_where_logs_cannot_be_kept_there_is_a_temporary_one(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path / "file" / "logs"))
    monkeypatch.setattr(logs.tempfile, "tempdir", str(tmp_path))
    log = logs.new_log()
    assert log.parent == tmp_path
    assert log.is_file()


def test_a_log_that_grows_too_large_begins_anew(tmp_path):
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as log:
        log.write(b"x" * logs.LARGEST_BYTES)
        logs.bound(log.fileno())
        assert path.stat().st_size == logs.LARGEST_BYTES
        log.write(b"y")
        start = path.stat().st_size
        logs.bound(log.fileno())
        log.write(b"then\nthis")
    assert path.read_text() == "(the log was longer; what came before was dropped)\nthen\nthis"
    assert logs.tail(path, start) == path.read_text()


def test_the_tail_of_a_log_is_its_last_lines_from_a_position_on(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n" + "\n".join(str(n) for n in range(logs.SHOWN_LINES + 5)))
    assert logs.tail(path).splitlines()[0] == "5"
    assert logs.tail(path, path.stat().st_size - 3) == "204"
    assert logs.tail(tmp_path / "none") == ""


def test_the_time_left_is_extrapolated_from_this_stage():
    now = [0.0]
    left = TimeLeft(lambda: now[0])

    def at(seconds, fraction, stage="network"):
        now[0] = seconds
        return left.update(fraction, stage)

    assert at(0, 0.0, "load") is None
    assert at(9, 0.05, "load") == pytest.approx(9 * 0.95 / 0.05)
    assert at(10, 0.1) is None
    assert at(10.5, 0.2) is None  # too early to say
    assert at(12, 0.3) == pytest.approx(2 * 0.7 / 0.2)
    assert at(14, 0.3) == pytest.approx(4 * 0.7 / 0.2)  # a window that takes long
    assert at(16, 1.0) == 0.0
    assert at(17, 0.2) is None  # a bar that went back begins anew
    assert at(20, 0.2) is None
    assert at(21, 0.4) == pytest.approx(4 * 0.6 / 0.2)


def test_the_time_left_in_words():
    assert [in_words(s) for s in (0.2, 1.4, 89, 95, 5000, 5500, 90000)] == [
        "1 s",
        "1 s",
        "89 s",
        "2 min",
        "83 min",
        "2 h",
        "25 h",
    ]


def test_the_fake_does_what_it_is_told():
    error = WorkerError("Broken.")
    worker = FakeWorker([Progressed(0.5, "Half"), Ended(error=error, details="why")])
    progress = RecordingProgress()
    with pytest.raises(WorkerError, match="Broken") as caught:
        worker.run(SETTINGS, [], progress)
    assert caught.value is error
    assert error.__notes__ == ["why"]
    assert progress.reports == [(0.5, "Half")]
    assert worker.started == [(SETTINGS, ())]
    assert not worker.running


def test_the_fake_runs_until_it_is_cancelled_or_closed():
    worker = FakeWorker([Progressed(0.5, "Half")])
    with pytest.raises(Cancelled):
        worker.run(SETTINGS, [], RecordingProgress(cancel_at=0.5))
    worker.start(SETTINGS, [])
    with pytest.raises(InputError, match="A run is under way"):
        worker.start(SETTINGS, [])
    worker.close()
    assert not worker.running
    assert worker.poll() == []
    assert worker.closed == 1
