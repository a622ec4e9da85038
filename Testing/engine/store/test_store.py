"""Installing, replacing, removing and packing: a model is there whole, or not at all."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import pytest
from loopback import Site, serve
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.errors import (
    ArchiveError,
    Cancelled,
    DownloadError,
    FileReadError,
    LicenceError,
    ModelError,
    OutputError,
    SettingsError,
    UnknownModelError,
)
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.store import archives
from SlicerCNNSegLib.engine.store.archives import unpack
from SlicerCNNSegLib.engine.store.downloads import Checksum
from SlicerCNNSegLib.engine.store.licences import is_permissive
from SlicerCNNSegLib.engine.store.members import MIB, Limits
from SlicerCNNSegLib.engine.store.store import install, pack_model, remove


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "shipped")
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "made" / "tiny")


def change(folder, **own):
    path = folder / "configs" / "metadata.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["cnnseg"].update(own)
    path.write_text(json.dumps(data), encoding="utf-8")


def digest(path):
    return Checksum("sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_packed_model_is_installed_as_it_was(store, folder, tmp_path):
    path = tmp_path / "tiny.zip"
    packed = pack_model(str(folder), path)
    progress = RecordingProgress()
    installed = install(path, checksum=digest(path), progress=progress)
    assert installed.folder == store / "tiny"
    assert installed.sha256 == packed.sha256 == find_model("tiny").sha256
    assert progress.reports[-1] == (1.0, "Installed")
    assert [path.name for path in store.iterdir()] == ["tiny"]


def test_the_same_model_gives_the_same_bytes_wherever_it_lies(store, folder, tmp_path):
    pack_model(str(folder), tmp_path / "a.zip")
    other = shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copy)
    (other / ".hidden").write_text("x")
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "x.pyc").write_text("x")
    pack_model(str(other), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_model_from_an_address_is_verified_and_installed(store, folder, tmp_path):
    path = tmp_path / "tiny.zip"
    pack_model(str(folder), path)
    with serve(Site(path.read_bytes(), break_after=[500])) as site:
        assert install(site.address, checksum=digest(path)).id == "tiny"
    assert not list((store / ".downloads").iterdir())


def test_a_refused_download_is_not_kept(store, tmp_path):
    with serve(Site(b"PK\3\4 no zip")) as site:
        checksum = Checksum("sha1", hashlib.sha1(site.content, usedforsecurity=False).hexdigest())
        with pytest.raises(ArchiveError, match=r"is refused: it is damaged"):
            install(site.address, checksum=checksum)
    assert not list((store / ".downloads").iterdir())


def test_offline_nothing_is_fetched(store, monkeypatch):
    checksum = Checksum("md5", "0" * 32)
    with pytest.raises(DownloadError, match=r"the network is forbidden \(CNNSEG_OFFLINE, --offline\); give a file"):
        install("http://127.0.0.1:9/a.zip", checksum=checksum, offline=True)
    monkeypatch.setenv("CNNSEG_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"the network is forbidden"):
        install("HTTP://127.0.0.1:9/a.zip", checksum=checksum)


def test_an_address_needs_a_checksum_and_a_folder_has_none(store, folder):
    with pytest.raises(SettingsError, match=r"Give the published checksum of http"):
        install("https://127.0.0.1:9/a.zip")
    with pytest.raises(SettingsError, match=r"Expected a file to verify the checksum of"):
        install(folder, checksum=Checksum("md5", "0" * 32))


def test_a_file_with_another_checksum_is_not_opened(store, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"anything")
    with pytest.raises(DownloadError, match=r"a.zip to have the md5 0{32}, got .*it was not opened"):
        install(tmp_path / "a.zip", checksum=Checksum("md5", "0" * 32))


def test_a_model_that_is_there_stays_unless_it_is_to_be_replaced(store, folder):
    first = install(folder)
    change(folder, title="Second")
    with pytest.raises(SettingsError, match=r"The model tiny is there already .*install with --replace"):
        install(folder)
    assert find_model("tiny").title == first.title
    assert install(folder, replace=True).title == "Second"
    assert [path.name for path in store.iterdir()] == ["tiny"]


def test_a_replaced_model_keeps_the_folder_that_it_has(store, folder):
    install(folder)
    (store / "tiny").rename(store / "my-own-name")
    assert install(folder, replace=True).folder == store / "my-own-name"
    assert [path.name for path in store.iterdir()] == ["my-own-name"]


def test_a_shipped_model_is_hidden_only_on_request_and_comes_back(store, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "shipped" / "tiny")
    with pytest.raises(SettingsError, match=r"is there already"):
        install(folder)
    assert install(folder, replace=True).folder == store / "tiny"
    assert remove("tiny") == store / "tiny"
    assert find_model("tiny").folder == tmp_path / "shipped" / "tiny"
    with pytest.raises(SettingsError, match=r"The model tiny came with CNNSeg and stays"):
        remove("tiny")


def test_the_old_model_comes_back_when_the_new_one_cannot_take_its_place(store, folder, monkeypatch):
    install(folder)
    rename = Path.rename

    def fail(self, target):
        if ".installing-" in str(self):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match=r"Cannot put the model into .*tiny: Permission denied"):
        install(folder, replace=True)
    assert find_model("tiny").id == "tiny"
    assert [path.name for path in store.iterdir()] == ["tiny"]


def test_a_licence_that_is_not_permissive_is_shown_and_must_be_accepted(store, folder):
    change(folder, licence="CC BY-NC 4.0")
    (folder / "LICENSE").write_bytes(b"Not for\x1b[2J sale.\n")
    shown = []

    def answer(accepted):
        return lambda package, text: shown.append((package.licence, text)) or accepted

    with pytest.raises(LicenceError, match=r"has the licence 'CC BY-NC 4.0'; read it, and accept it"):
        install(folder)
    with pytest.raises(LicenceError, match=r"--accept-licence"):
        install(folder, acknowledge=answer(False))
    assert not list(store.iterdir())
    assert install(folder, acknowledge=answer(True)).id == "tiny"
    assert shown == [("CC BY-NC 4.0", "Not for[2J sale.\n")] * 2


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("Apache-2.0", True),
        ("apache 2.0", True),
        ("MIT", True),
        ("CC BY 4.0", True),
        ("CC BY-SA 4.0", False),
        ("", False),
    ],
)
def test_permissive_licences_are_known_by_their_spdx_names(licence, permissive):
    assert is_permissive(licence) is permissive


def test_a_cancelled_installation_leaves_nothing(store, folder):
    with pytest.raises(Cancelled):
        install(folder, progress=RecordingProgress(cancel_at=0.1))
    assert not list(store.iterdir())


def test_what_is_not_there_or_no_archive_is_told(store, tmp_path):
    with pytest.raises(FileReadError, match=r"Expected a model's zip file or folder, but there is no"):
        install(tmp_path / "absent.zip")
    (tmp_path / "a.zip").write_bytes(b"text")
    with pytest.raises(
        FileReadError, match=r"Expected a zip file, a tar file or a folder, but .*a.zip is none of them"
    ):
        install(tmp_path / "a.zip")
    with pytest.raises(FileReadError, match=r"cannot be read: Not a directory"):
        install(tmp_path / "a.zip" / "b.zip")


def test_a_file_is_written_once_and_with_the_bytes_that_it_declares(tmp_path):
    for size in (3, 5):
        with pytest.raises(ArchiveError, match=r"its member '\d' has not the size that it declares"):
            archives._copy(io.BytesIO(b"four"), tmp_path / str(size), size, "a.zip")
    (tmp_path / "there").touch()
    with pytest.raises(OutputError, match=r"Cannot write .*there: File exists"):
        archives._copy(io.BytesIO(b"four"), tmp_path / "there", 4, "a.zip")


def test_a_disk_that_fails_while_writing_is_told(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full, a disk that is always full")
    content = io.BytesIO(bytes(MIB))
    path = tmp_path / "weights"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: open("/dev/full", "wb", buffering=0))  # noqa: PTH123, SIM115
        with pytest.raises(OutputError, match=r"Cannot write .*weights: No space left"):
            archives._copy(content, path, MIB, "a.zip")


def test_a_model_that_cannot_be_removed_is_told(store, folder, monkeypatch):
    install(folder)

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match=r"Cannot remove .*tiny: Permission denied"):
        remove("tiny")


def test_a_store_that_cannot_be_written_to_is_named(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"Cannot write to .*file"):
        install(folder)


def test_a_full_disk_is_told_before_it_is_filled(folder, tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10, 10, 0)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    (tmp_path / "to").mkdir()
    with pytest.raises(OutputError, match=r"The model needs \d+ MB in .*, 0 MB are free"):
        unpack(folder, tmp_path / "to", NoProgress())


def test_limits_are_those_that_are_given(folder, tmp_path):
    (tmp_path / "to").mkdir()
    with pytest.raises(ArchiveError, match=r"declares \d+ bytes, over 100"):
        unpack(folder, tmp_path / "to", NoProgress(), Limits(member_bytes=100))
    with pytest.raises(ArchiveError, match=r"it has over 2 members"):
        unpack(folder, tmp_path / "to", NoProgress(), Limits(members=2))


def test_a_broken_model_can_be_removed_but_not_packed(store, folder, tmp_path):
    install(folder)
    (store / "tiny" / "configs" / "inference.json").unlink()
    with pytest.raises(ModelError, match=r"lacks configs/inference.json"):
        pack_model("tiny", tmp_path / "tiny.zip")
    assert remove("tiny") == store / "tiny"
    assert not list(store.iterdir())


def test_a_linked_model_is_unlinked_and_its_folder_stays(store, folder):
    store.mkdir()
    (store / "tiny").symlink_to(folder, target_is_directory=True)
    remove("tiny")
    assert not list(store.iterdir())
    assert (folder / "configs" / "metadata.json").is_file()


def test_an_unknown_model_cannot_be_removed(store, folder):
    install(folder)
    with pytest.raises(UnknownModelError, match=r"No model 'other': expected one of tiny"):
        remove("other")


def test_a_model_with_runnable_weights_or_links_is_not_packed(store, folder, tmp_path):
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ArchiveError, match=r"'tiny/link' is a symbolic link"):
        pack_model(str(folder), tmp_path / "tiny.zip")
    (folder / "models" / "model.pt").write_bytes(b"x")
    with pytest.raises(ArchiveError, match=r"'models/model.pt' is a form of weights that can run code"):
        pack_model(str(folder), tmp_path / "tiny.zip")
    with pytest.raises(SettingsError, match=r"Expected a file name that ends in .zip"):
        pack_model(str(folder), tmp_path / "tiny.tar")
    assert not (tmp_path / "tiny.zip").exists()
