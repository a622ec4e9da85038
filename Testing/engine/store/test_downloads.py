"""Downloads from a server on this machine: they resume, and nothing but the announced bytes comes out."""

import hashlib

import pytest
from loopback import Site, serve

from SlicerCNNSegLib.engine.errors import Cancelled, DownloadError, OutputError, SettingsError
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.store.downloads import TRIES, Checksum, download
from SlicerCNNSegLib.engine.store.members import MIB, Limits

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site():
    with serve(Site(CONTENT)) as served:
        yield served


def fetch(site, folder, checksum=SHA256, **more):
    return download(site.address, folder, checksum, more.pop("progress", NoProgress()), **more)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_the_file_comes_and_is_verified(site, tmp_path, algorithm):
    progress = RecordingProgress()
    checksum = Checksum.parse(f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest().upper()}")
    path = fetch(site, tmp_path, checksum, progress=progress)
    assert path.read_bytes() == CONTENT
    assert [round(fraction, 2) for fraction, _ in progress.reports] == [0.5, 1.0]
    assert site.requests == [""]


def test_a_broken_connection_is_taken_up_where_it_broke(site, tmp_path):
    site.break_after = [1000, 2000]
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["", "bytes=1000-", "bytes=3000-"]


def test_a_server_that_does_not_resume_gives_the_whole_again(site, tmp_path):
    site.break_after, site.ranges = [1000], False
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_it_gives_up_in_the_end_and_goes_on_the_next_time(site, tmp_path):
    site.break_after = [1000] * TRIES
    with pytest.raises(DownloadError, match=r"failed \(4000 of 2097152 bytes came\).*it goes on where it stopped"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests[-1] == "bytes=4000-"


def test_a_cancelled_download_goes_on_the_next_time(site, tmp_path):
    with pytest.raises(Cancelled):
        fetch(site, tmp_path, progress=RecordingProgress(cancel_at=0.4))
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["", f"bytes={MIB}-"]


def test_a_whole_file_from_earlier_is_not_fetched_again(site, tmp_path):
    fetch(site, tmp_path)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == ["", f"bytes={len(CONTENT)}-"]


def test_other_bytes_than_announced_are_deleted(site, tmp_path):
    with pytest.raises(
        DownloadError, match=r"Expected .* to have the sha256 0{64}, got [0-9a-f]{64}; it was not opened"
    ):
        fetch(site, tmp_path, Checksum("sha256", "0" * 64))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("announced", "message"), [(None, "announces 2097152 bytes"), ("", "sends more than 1048576")])
def test_more_than_a_model_can_be_is_not_fetched(site, tmp_path, announced, message):
    site.announced = announced
    with pytest.raises(DownloadError, match=message):
        fetch(site, tmp_path, limits=Limits(total_bytes=MIB))


@pytest.mark.parametrize("redirect", ["file:///etc/hostname", "ftp://127.0.0.1/model.zip"])
def test_a_redirection_to_something_else_than_the_web_is_not_followed(site, tmp_path, redirect):
    site.redirect = redirect
    with pytest.raises(DownloadError, match=r"failed"):
        fetch(site, tmp_path)


def test_what_is_not_there_is_told_at_once(site, tmp_path):
    site.address = site.address.replace("model.zip", "gone.zip")
    with pytest.raises(DownloadError, match=r"gone.zip failed \(HTTP Error 404"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/a.zip", "http:///a.zip"])
def test_only_web_addresses_are_taken(tmp_path, address):
    with pytest.raises(SettingsError, match=r"Expected an address that begins with http:// or https://"):
        download(address, tmp_path, SHA256, NoProgress())


def test_a_place_that_cannot_be_written_to_is_named(site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"Cannot write to .*file"):
        fetch(site, tmp_path / "file")


@pytest.mark.parametrize("text", ["sha256:12", "crc32:12345678", "g" * 64, "", "md5:"])
def test_a_checksum_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match=r"Expected a checksum as sha256:HEX"):
        Checksum.parse(text)
