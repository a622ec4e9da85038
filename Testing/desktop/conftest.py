"""A desktop with models, volumes and a panel in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worker_behaviours
from tiny_detector import write_tiny_detector
from tiny_model import RANDOM_UNET, write_tiny_model
from worker_control import Behaviour

NEEDS = "needs slicer-core and PySide6-Essentials: pip install cnnseg[test]"


@pytest.fixture(scope="session")
def a_models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of the user: for MR, for two channels, a classifier, a detector, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "tiny-mr", network=RANDOM_UNET)
    write_tiny_model(
        folder / "two-channels", network={**RANDOM_UNET, "in_channels": 2}, channels=(("T1", "MR"), ("T2", "MR"))
    )
    (folder / "broken").mkdir()
    write_classifier(folder / "two-classes", ("Ill", "Well"))
    write_tiny_detector(folder / "balls")
    return folder


def write_classifier(folder: Path, classes: tuple[str, ...]) -> Path:
    """A classifier as far as a list of models looks at it."""
    write_tiny_model(folder, network=RANDOM_UNET)
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    about = {"task": "classification", "title": folder.name, "classes": [{"name": one} for one in classes]}
    metadata["cnnseg"] |= about
    path.write_text(json.dumps(metadata), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def _desktop() -> Any:
    pytest.importorskip("PySide6", reason=NEEDS)
    pytest.importorskip("slicer", reason=NEEDS)
    from desktop.host import start

    return start()


@pytest.fixture
def desktop(
    _desktop: Any,
    a_models_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """The desktop with an empty scene and only the models of ``a_models_folder``."""
    monkeypatch.setenv("CNNSEG_MODELS", str(a_models_folder))
    monkeypatch.setenv("CNNSEG_LOGS", str(tmp_path_factory.mktemp("logs")))
    monkeypatch.setattr("SlicerCNNSegLib.engine.catalogue.EMBEDDED_MODELS", a_models_folder / "none")
    workers: list[Any] = []  # each test has a Slicer of its own, as far as the shared worker is concerned
    monkeypatch.setattr("SlicerCNNSegLib.widgets.shared_worker._workers", workers)
    for name in (request.module.__name__, "desktop.task_tabs"):
        _desktop.show_properties_to(name)
    yield _desktop
    for worker in workers:
        worker.close()
    _desktop.clear_scene()


@pytest.fixture
def a_volume(desktop: Any) -> Callable[..., Any]:
    """A volume node of noise in the scene."""
    import slicer

    from SlicerCNNSegLib.engine.volume import Volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    def make(name: str = "head", modality: str = "MR") -> Any:
        array = np.random.default_rng(0).normal(size=(1, 18, 20, 22)).astype(np.float32)
        node = node_from_volume(slicer.mrmlScene, Volume(array, np.diag([1, 1, 1.5, 1]), modality=modality), name)
        desktop.process_events()
        return node

    return make


@pytest.fixture
def a_panel(desktop: Any) -> Iterator[Any]:
    """The module's panel, opened; its model is ``tiny-mr``."""
    panel = desktop.open("SlicerCNNSeg")
    panel.logic.getParameterNode().model = "tiny-mr"
    yield panel
    desktop.close(panel)


@pytest.fixture
def count_delay_ms() -> int:
    """Label files are read by a process, which only the tests that wait for it need."""
    return 10**6


@pytest.fixture
def a_training_panel(
    desktop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count_delay_ms: int
) -> Iterator[Any]:
    """The training panel, opened, with models of its own."""
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("SlicerCNNSegTrainLib.widgets.labels_section.COUNT_DELAY_MS", count_delay_ms)
    panel = desktop.open("SlicerCNNSegTrain")
    yield panel
    desktop.close(panel)


@pytest.fixture
def behaviour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Behaviour:
    """The panel's worker is a real process whose runs do what this says, from then on."""
    made = Behaviour(tmp_path)
    monkeypatch.setattr("SlicerCNNSegLib.worker.client.LAUNCH", worker_behaviours.LAUNCH)
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    return made
