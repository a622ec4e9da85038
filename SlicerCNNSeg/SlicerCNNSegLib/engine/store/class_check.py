"""Does an installed classifier still say what it said where it was made? The part of ``self_check.py`` for them.

``configs/self_check.json`` holds a synthetic image as a few numbers, and the probabilities that the model gave for it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..classification.classify import Plan
from ..errors import ModelError
from ..files.atomic import replacing
from ..package import ModelPackage
from ..progress import NoProgress, Progress, advance
from ..run import run
from ..settings import ClassificationSettings
from .pattern import FILE, LARGEST_SIDE, SEEDS, Pattern, pattern_for

TOLERANCE = 0.01
"""Largest difference of a probability: processors differ by 1e-4 or so, another network by far more."""


def make_class_check(package: ModelPackage, progress: Progress) -> Path:
    """Write ``configs/self_check.json`` into a classifier's folder.

    Of a few synthetic images it takes the one that the model is least sure of: there a change shows most.

    Raises
    ------
    CNNSegError
        The model cannot be run, or the folder not be written to.
    """
    size = _size_of(package)
    tried = []
    for number, seed in enumerate(SEEDS):
        advance(progress, number / len(SEEDS), "Making the self-check")
        pattern = pattern_for(package, seed, size)
        tried.append((pattern, _probabilities(package, pattern)))
    pattern, probabilities = min(tried, key=lambda one: float(np.max(one[1])))
    with replacing(package.folder / FILE) as temporary:
        plain = {"image": pattern.to_json(), "probabilities": [round(float(p), 6) for p in probabilities]}
        temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return package.folder / FILE


def same_probabilities(package: ModelPackage, progress: Progress) -> tuple[bool | None, str]:
    """Whether the model gives the stored probabilities, and how far they are off; None where there are none.

    Raises
    ------
    ModelError
        The stored image or probabilities make no sense.
    """
    if not (package.folder / FILE).is_file():
        return None, f"the model has no {FILE.as_posix()}"
    advance(progress, 0.0, "Classifying the synthetic image")
    pattern, expected = _read(package.folder / FILE)
    found = _probabilities(package, pattern)
    if found.shape != expected.shape:
        raise ModelError(f"{FILE.as_posix()} has {len(expected)} probabilities, expected {len(found)}; get it anew.")
    off = float(np.abs(found - expected).max())
    return off <= TOLERANCE, f"largest difference {off:.1e}, allowed {TOLERANCE:g}"


def _read(path: Path) -> tuple[Pattern, np.ndarray]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pattern = Pattern.from_json(data["image"])
        probabilities = np.array([float(p) for p in data["probabilities"]])
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{FILE.as_posix()} cannot be read ({error}); get the model anew.") from error
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{FILE.as_posix()} has probabilities that are no numbers; get the model anew.")
    return pattern, probabilities


def _size_of(package: ModelPackage) -> tuple[int, int, int]:
    """The network's window as an image, of a 2-D network with as many slices as it takes."""
    plan = Plan.of(package)
    i, j, k = (min(n, LARGEST_SIDE) for n in (*plan.framing.size, plan.model.slices)[:3])
    return i, j, k


def _probabilities(package: ModelPackage, pattern: Pattern) -> np.ndarray:
    """What the model says of the image, on the CPU in full precision."""
    settings = ClassificationSettings(str(package.folder), device="cpu", precision="fp32", force=True)
    result = run(settings, pattern.volumes(package), NoProgress())
    return np.array(result.predictions[0].probabilities)
