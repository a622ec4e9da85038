"""No hostile model gets anywhere.

Nothing is run, nothing outside the store is written or read; every refusal is quick, takes little memory and says why.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile.archives import ARTEFACTS, MIB, SECRET, write_folder, write_tar, write_zip
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine import errors
from SlicerCNNSegLib.engine.store import archives
from SlicerCNNSegLib.engine.store.members import check_members
from SlicerCNNSegLib.engine.store.store import install

SECONDS = 5.0
"""Of a processor, as for hostile configs: what else the machine does makes no difference."""

MEMORY = 48 * MIB
ALTERATIONS = 100
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "pickle.find_class")
LINKS = ("os.symlink", "os.link")

seen: list[tuple[str, object]] = []
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and (event == "open" or event in RUNS or event in LINKS):
        seen.append((event, arguments[0] if arguments else None))


sys.addaudithook(watch)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """The files of an honest model."""
    folder = write_tiny_model(tmp_path_factory.mktemp("honest") / "tiny")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("CNNSEG_MODELS", str(folder))
    return folder


@pytest.fixture
def yard(tmp_path) -> Path:
    """Where artefacts lie, with a secret beside them."""
    folder = tmp_path / "yard"
    folder.mkdir()
    (folder / SECRET).write_text("secret")
    return folder


@pytest.fixture
def watched() -> Iterator[list[tuple[str, object]]]:
    global watching
    seen.clear()
    load_what_is_imported_when_used()
    watching = True
    yield seen
    watching = False


def load_what_is_imported_when_used() -> None:
    """Import what the store imports when it is used, so that the watch sees none of it."""
    import safetensors  # noqa: F401

    import SlicerCNNSegLib.engine.nnunet.importing  # noqa: F401


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*") if "home" not in path.parts}


@pytest.mark.parametrize("name", ARTEFACTS)
def test_it_is_refused_with_its_reason_and_leaves_nothing(name, files, store, yard, tmp_path, watched):
    if os.name == "nt" and name.startswith(("folder_link", "folder_pipe")):
        pytest.skip("folders with links and pipes are made on POSIX systems")
    artefact = ARTEFACTS[name]
    source = artefact.make(yard, files)
    before, secret = tree(tmp_path), str(yard / SECRET)
    seen.clear()
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(getattr(errors, artefact.error), match=artefact.reason) as caught:
        install(source)
    seconds, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    events = list(seen)
    message = str(caught.value)
    assert seconds < SECONDS
    assert peak < MEMORY
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 700
    assert not [event for event in events if event[0] in RUNS + LINKS]
    assert not (yard / "executed").exists()
    opened = [os.path.realpath(str(path)) for event, path in events if event == "open" and isinstance(path, str | Path)]
    inside = (str(store.resolve()), str(source.resolve()))
    assert secret not in opened
    assert not [path for path in opened if path.startswith(str(tmp_path.resolve())) and not path.startswith(inside)]
    assert tree(tmp_path) == before
    assert not list(store.iterdir())


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are not followed on POSIX systems")
def test_a_link_that_takes_a_files_place_after_the_check_is_not_followed(files, store, yard, monkeypatch):
    root = write_folder(yard, files)

    def check_then_swap(members, limits, source):
        paths = check_members(members, limits, source)
        (root / "configs" / "metadata.json").unlink()
        (root / "configs" / "metadata.json").symlink_to(yard / SECRET)
        return paths

    monkeypatch.setattr(archives, "check_members", check_then_swap)
    with pytest.raises(errors.CNNSegError, match="cannot be read"):
        install(root)
    assert not list(store.iterdir())


@pytest.mark.parametrize("write", [write_folder, write_tar, lambda folder, f: write_zip(folder / "m.zip", f.items())])
def test_the_honest_model_is_installed(write, files, store, yard):
    package = install(write(yard, files))
    assert package.folder == store / "tiny"
    installed = {p.relative_to(package.folder).as_posix(): p.read_bytes() for p in package.folder.rglob("*.*")}
    assert installed == files


def test_the_corpus_is_large_and_the_reasons_are_patterns():
    assert len(ARTEFACTS) >= 90
    assert all(re.compile(artefact.reason) for artefact in ARTEFACTS.values())


@pytest.mark.parametrize("form", ["zip", "deflated zip", "tar", "tar.gz", "weights", "metadata"])
def test_altered_bytes_are_refused_in_words_or_do_no_harm(form, files, store, yard):
    """What is installed after all reads as a model: bytes that no checksum covers may differ."""
    random = np.random.default_rng(8)
    honest = {
        "zip": lambda: write_zip(yard / "m.zip", files.items()),
        "deflated zip": lambda: write_zip(yard / "m.zip", files.items(), zipfile.ZIP_DEFLATED),
        "tar": lambda: write_tar(yard, files, compressed=False),
        "tar.gz": lambda: write_tar(yard, files),
    }.get(form, lambda: write_folder(yard, files))()
    inner = {"weights": "models/model_0.safetensors", "metadata": "configs/metadata.json"}.get(form, "")
    path = honest / inner
    content = path.read_bytes()
    for _ in range(ALTERATIONS):
        path.write_bytes(altered(content, random))
        begin = time.process_time()
        with contextlib.suppress(errors.CNNSegError):  # any other error is a fault
            package = install(honest)
            assert package.folder.parent == store
            shutil.rmtree(package.folder)
        assert time.process_time() - begin < SECONDS
        assert not list(store.iterdir())


def altered(content: bytes, random: np.random.Generator) -> bytes:
    """A few bytes changed, a stretch cut out, or one put in twice."""
    data, kind = bytearray(content), random.integers(3)
    start = int(random.integers(len(data)))
    if kind == 0:
        for at in random.integers(len(data), size=random.integers(1, 9)):
            data[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.integers(256)])
    elif kind == 1:
        del data[start : start + int(random.integers(1, 64))]
    else:
        data[start:start] = data[start : start + int(random.integers(1, 64))]
    return bytes(data)
