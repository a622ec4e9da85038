"""Arrays from one process to another: written once by the one, mapped by the other.

Files in a folder of the worker's own: in ``/dev/shm``, which is memory, where the system has it and there is
room, else in the folder for temporary files, where a mapped file that is gone at once seldom reaches the disk.
Whoever reads an array removes its name as soon as it is mapped; the memory goes when the array goes. What a
killed process leaves is removed with the folder by the other side, and what two killed processes leave by the
next one that starts.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..engine.errors import WorkerError
from ..engine.steps import Steps, finished

MEMORY = Path("/dev/shm")
PREFIX = "cnnseg-worker-"
LOCK = "lock"


class Arena:
    """The folders through which one worker and its client hand arrays to each other.

    Parameters
    ----------
    folders:
        They are tried in this order when something is written. They belong to this user alone.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._locks: list[IO[bytes]] = []

    @classmethod
    def create(cls, roots: Sequence[Path] = ()) -> Arena:
        """New folders, after removing those that killed processes have left.

        Parameters
        ----------
        roots:
            Where they are made; by default in memory and in the folder for temporary files.
        """
        roots = roots or [root for root in (MEMORY, Path(tempfile.gettempdir())) if os.access(root, os.W_OK)]
        for root in roots:
            remove_abandoned(root)
        arena = cls([Path(tempfile.mkdtemp(prefix=PREFIX, dir=root)) for root in roots])
        for folder in arena.folders:
            lock = (folder / LOCK).open("wb")
            _try_lock(lock)
            arena._locks.append(lock)
        return arena

    def writing(self, array: np.ndarray) -> Steps[dict[str, Any]]:
        """Write an array, one plane at each step; the generator's value is what ``take`` needs.

        Raises
        ------
        OSError
            There is no room in any of the folders.
        """
        for number, folder in enumerate(self.folders):
            path = folder / uuid.uuid4().hex
            try:
                with path.open("xb", buffering=0) as file:
                    for index in np.ndindex(array.shape[:-2]):
                        _write(file, np.ascontiguousarray(array[index]))
                        yield
            except OSError:
                path.unlink(missing_ok=True)
                if number == len(self.folders) - 1:
                    raise
            except BaseException:  # given up in the middle: a generator that is closed
                path.unlink(missing_ok=True)
                raise
            else:
                return {"folder": number, "name": path.name, "dtype": array.dtype.str, "shape": list(array.shape)}
        raise AssertionError("an arena has a folder")

    def store(self, array: np.ndarray) -> dict[str, Any]:
        """Write an array in one go; gives what ``take`` needs."""
        return finished(self.writing(array))

    def take(self, where: Mapping[str, Any]) -> np.ndarray:
        """The array of the other side; its file is removed, its memory goes with the array.

        The array can be written to; nobody else sees that.

        Raises
        ------
        WorkerError
            It is not there, or not whole.
        """
        path = self.folders[where["folder"]] / Path(where["name"]).name
        dtype, shape = np.dtype(where["dtype"]), tuple(where["shape"])
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            array = np.frombuffer(mapped, dtype).reshape(shape)
        except (OSError, ValueError) as error:
            raise WorkerError(
                f"An array of shape {shape} did not arrive between worker and client ({error})."
            ) from error
        with suppress(PermissionError):  # Windows keeps the names of mapped files; they go with the folder
            path.unlink()
        return array

    def remove(self) -> None:
        """Remove the folders with all that is in them."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(root: Path) -> None:
    """Remove the folders of processes that are no more; those of living ones hold a lock."""
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_uid != _user():
                continue
            with (folder / LOCK).open("rb") as lock:
                alive = not _try_lock(lock)
            if not alive:
                shutil.rmtree(folder, ignore_errors=True)


def _write(file: IO[bytes], plane: np.ndarray) -> None:
    data = plane.reshape(-1).view(np.uint8).data
    while data:  # a full disk takes a part first, and only then says so
        data = data[file.write(data) :]


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0  # Windows reports 0 for every file


def _try_lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False when another process has."""
    if os.name == "nt":
        import msvcrt

        lock = lambda: msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # noqa: E731
    else:
        import fcntl

        lock = lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: E731
    try:
        lock()
    except OSError:
        return False
    return True
