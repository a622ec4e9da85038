"""In the place of ``engine.run.run`` inside a worker: behaves as the file FAKE_BEHAVIOUR says.

It notes what it was asked for, its process id and that of a child of its own in FAKE_NOTES.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.classification.result import ClassificationResult, Explanation, Prediction
from SlicerCNNSegLib.engine.detection.result import DetectionResult
from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.findings.boxes import box_from_corners
from SlicerCNNSegLib.engine.findings.finding import Finding, Measurements
from SlicerCNNSegLib.engine.findings.growth import GONE, NEW, growth
from SlicerCNNSegLib.engine.findings.lungs import Lungs
from SlicerCNNSegLib.engine.findings.match import Match
from SlicerCNNSegLib.engine.findings.review import Comparison, ComparisonSettings, Page, PageSettings
from SlicerCNNSegLib.engine.labels import ClassLabel, Code, Label
from SlicerCNNSegLib.engine.overlaps import Compound
from SlicerCNNSegLib.engine.progress import advance
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.settings import ClassificationSettings, DetectionSettings, SegmentationSettings

LAUNCH = (
    f"import json, sys; sys.path[:0] = {{folders!r}} + [{str(Path(__file__).parent)!r}]; "
    "from worker_behaviours import run; from SlicerCNNSegLib.worker.server import main; "
    "main(json.loads(sys.argv[1]), run=run)"
)

LAUNCH_WITH_TINY_DETECTOR = (
    f"import json, sys; sys.path[:0] = {{folders!r}} + [{str(Path(__file__).parent)!r}]; import tiny_detector; "
    "from SlicerCNNSegLib.worker.server import main; main(json.loads(sys.argv[1]))"
)
"""The real engine, which knows the network of ``tiny_detector`` too."""

WINDOWS, WINDOW_S = 400, 0.02
CANDIDATES, THRESHOLD = 12, 0.6
LABELS = (
    Label(1, "Dark", (0.0, 0.25, 1.0), type=Code("SCT", "4147007", "Mass")),
    Label(2, "Bright", (1 / 3, 0.1, 1.0)),
)


def run(settings, volumes, progress):
    """What the tests' workers do."""
    behaviour = Path(os.environ["FAKE_BEHAVIOUR"]).read_text(encoding="utf-8")
    notes = {"pid": os.getpid(), "child": 0, "settings": settings.to_json(), "volumes": [v.source for v in volumes]}
    if behaviour == "hang":
        notes["child"] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
    with replacing(Path(os.environ["FAKE_NOTES"])) as part:
        part.write_text(json.dumps(notes), encoding="utf-8")
    advance(progress, 0.5, "Running the network")
    print("something of torch's", file=sys.stderr, flush=True)
    if behaviour in ACTS:
        ACTS[behaviour](progress)
    return ANSWERS[type(settings)](settings, volumes)


def answer(settings, volumes):
    """Label 1 below 0 and 2 above, with a record that has every field."""
    volume = volumes[0]
    labelmap = np.where(volume.array[0] < 0, 1, 2).astype(np.uint8)
    whole = Compound(Label(3, "Both", (0.5, 0.5, 0.5)), frozenset({1, 2}))
    return SegmentationResult(labelmap, volume.geometry, LABELS, record_of("segmentation", settings, volume), (whole,))


def classified(settings, volumes):
    """Of each region 0.75 for the first class; the heat map is hot where the image is bright."""
    volume = volumes[0]
    boxes = [(r.name, *r.index_box(volume.geometry)) for r in settings.regions]
    boxes = boxes or [("", (0, 0, 0), volume.geometry.size_ijk)]
    explanation = None
    if settings.explain:
        heat = (volume.array[0] > 0).astype(np.float32)
        explanation = Explanation(settings.explain, "", ("Ill",) * len(boxes), heat)
    return ClassificationResult(
        (ClassLabel("Ill"), ClassLabel("Well")),
        tuple(Prediction(name, start, stop, (0.75, 0.25)) for name, start, stop in boxes),
        volume.geometry,
        record_of("classification", settings, volume),
        explanation,
    )


def detected(settings, volumes):
    """Twelve candidates, five of them findings, each a cube of 2 x 2 x 2 voxels; only the first was measured."""
    volume = volumes[0]
    grid = volume.geometry
    labelmap, candidates = np.zeros(grid.shape_kji, np.uint8), []
    for n in range(CANDIDATES):
        corner = np.array([2 + 5 * (n % 4), 2 + 5 * (n // 4), 2 + n])
        i, j, k = corner
        labelmap[k : k + 2, j : j + 2, i : i + 2] = n + 1
        box = box_from_corners(np.concatenate([corner - 0.5, corner + 1.5]), grid)
        measured = Measurements("solid", 120.0, 7.0, 5.0, 20.0, -40.0, 120.0, 6.0) if n == 0 else None
        candidates.append(Finding(f"N{n + 1:02d}", box, 0.95 - 0.08 * n, measurements=measured, location="left lung"))
    label = Label(1, "Nodule", (0.98, 0.62, 0.16), type=Code("SCT", "27925004", "Nodule"))
    record = record_of("detection", settings, volume)
    lungs = Lungs((labelmap > 0).astype(np.uint8), grid, (), frozenset())
    return DetectionResult(tuple(candidates), THRESHOLD, labelmap, grid, label, record, lungs)


def compared(settings, _volumes):
    """The first finding has grown by half, the second earlier one is gone, the others are new."""
    first, second = settings.earlier[:2]
    change = growth(100.0, 150.0, settings.days)
    matches = [Match(first.id, settings.later[0].id, change.verdict, 1.0, change)]
    matches += [Match(None, one.id, NEW) for one in settings.later[1:]]
    return Comparison((*matches, Match(second.id, None, GONE)), (second,), ("The two dates are poorly aligned.",))


def record_of(task, settings, volume):
    """A record that has every field."""
    described = {
        "source": volume.source,
        "identifiers": dict(volume.identifiers),
        "modality": volume.modality,
        "channel_names": list(volume.channel_names),
        "size_ijk": list(volume.geometry.size_ijk),
        "ijk_to_ras": volume.ijk_to_ras.tolist(),
    }
    return RunRecord(
        task=task,
        model_id=settings.model,
        model_version="1",
        model_sha256="0" * 64,
        settings=settings.to_json(),
        device="cpu",
        precision="fp32",
        versions={"python": "3"},
        inputs=(described,),
        seconds={"network": 0.1 + 0.2},
        warnings=("Mind the gap.",),
        started="2026-01-01T00:00:00+00:00",
    )


def windows(progress):
    """Many short windows: a run that notices a wish to stop."""
    for n in range(WINDOWS):
        time.sleep(WINDOW_S)
        advance(progress, 0.5 + 0.5 * n / WINDOWS, "Running the network")


def hang(progress):
    """One endless window: a run that notices nothing."""
    time.sleep(600)


def corrupt(progress):
    raise WeightsError("The weights model.safetensors cannot be read (HeaderTooLarge); install the model again.")


def memory(progress):
    raise MemoryError("Unable to allocate 3.00 TiB for an array")


def torch_memory(progress):
    import torch

    torch.empty(1 << 50, dtype=torch.uint8)  # a petabyte: the real allocator's own words


def unexpected(progress):
    raise ZeroDivisionError("division by zero")


def killed(progress):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)


def crash(progress):
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


def leave(progress):
    os._exit(3)


def noise(progress):
    """Everything that could get between the messages."""
    print("a library's print")
    os.write(1, b"C code writes to descriptor 1\n")
    subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)
    sys.__stdout__.write("the first stdout\n")
    sys.__stdout__.flush()
    assert sys.stdin.read() == ""


ACTS = {
    "windows": windows,
    "hang": hang,
    "corrupt": corrupt,
    "memory": memory,
    "torch memory": torch_memory,
    "unexpected": unexpected,
    "killed": killed,
    "crash": crash,
    "exit": leave,
    "noise": noise,
}

ANSWERS = {
    SegmentationSettings: answer,
    ClassificationSettings: classified,
    DetectionSettings: detected,
    ComparisonSettings: compared,
    PageSettings: lambda settings, _volumes: Page(f"<h1>{settings.title}</h1>"),
}
"""What a run gives, by what was asked for."""
