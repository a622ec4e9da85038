"""Workers whose runs do what a test says, and nothing of them stays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import worker_behaviours
from worker_control import Behaviour

from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.worker import memory
from SlicerCNNSegLib.worker.client import WorkerClient
from SlicerCNNSegLib.worker.processes import child_environment


@pytest.fixture
def behaviour(tmp_path: Path) -> Behaviour:
    return Behaviour(tmp_path)


@pytest.fixture(autouse=True)
def _own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path / "logs"))


@pytest.fixture
def arenas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """What lies in shared memory and in the folder for temporary files for this test's workers."""
    monkeypatch.setattr(memory, "PREFIX", f"cnnseg-test-{os.getpid()}-{time.monotonic_ns()}-")
    roots = [memory.MEMORY, Path(memory.tempfile.gettempdir())]
    return lambda: [path for root in roots for path in root.glob(f"{memory.PREFIX}*")]


@pytest.fixture
def a_client(behaviour: Behaviour, arenas: Callable[[], list[Path]]) -> Iterator[WorkerClient]:
    """A client whose worker behaves as ``behaviour`` says; at the end nothing may be left of it."""
    environment = {**child_environment(os.environ), **behaviour.variables}
    with WorkerClient(environment=environment, launch=worker_behaviours.LAUNCH) as client:
        yield client
    assert arenas() == []


@pytest.fixture
def a_volume() -> Volume:
    array = np.random.default_rng(0).normal(size=(1, 18, 20, 22)).astype(np.float32)
    matrix = np.array([[-1, 0, 0, 0.1], [0, -1, 0, 1 / 3], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    return Volume(array, matrix, modality="MR", source="head", identifiers={"node_id": "vtk1"}, notes=("a note",))
