"""A file is there whole, or not at all."""

import errno
import stat
import sys
from pathlib import Path

import pytest

from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.files.atomic import replacing


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, error: BaseException | type[BaseException]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_success_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "mask.seg.nrrd"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".seg.nrrd")
        assert not temporary.exists()
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["mask.seg.nrrd"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "mask.nii.gz"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["mask.nii.gz"]


def test_a_failure_without_an_old_file_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "mask.nii.gz", KeyboardInterrupt)
    assert names_in(tmp_path) == []


def test_missing_folders_are_made(tmp_path):
    with replacing(tmp_path / "a" / "b" / "c.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "{}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "new") as temporary:
        temporary.touch()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    with pytest.raises(OutputError, match="is a folder; give a file name inside it"), replacing(tmp_path):
        pytest.fail("the block must not run")


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose a folder that you may write to"), replacing(tmp_path / "file" / "x"):
        pytest.fail("the block must not run")


def test_a_folder_without_write_permission_is_refused(tmp_path, monkeypatch):
    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)  # a real one would not stop a test that runs as root
    with pytest.raises(OutputError, match="Permission denied; choose a folder"), replacing(tmp_path / "x.json"):
        pytest.fail("the block must not run")


def test_a_full_disk_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No space left on device; check the disk's free space"):
        write_half(tmp_path / "x.json", OSError(errno.ENOSPC, "No space left on device"))
    assert names_in(tmp_path) == []


def test_an_error_about_another_file_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "x.json"):
        (tmp_path / "other").read_text()


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="Nothing was written"), replacing(tmp_path / "x.json"):
        pass
