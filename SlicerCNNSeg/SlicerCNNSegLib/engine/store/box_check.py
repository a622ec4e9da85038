"""Does an installed detector still find what it found where it was made? The part of ``self_check.py`` for them.

``configs/self_check.json`` holds a synthetic image as a few numbers, and the best boxes with their scores that the
model gave for it, whatever they are: no lungs are looked for, and no score is too low.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..detection.own import Plan
from ..detection.search import Boxes, search
from ..errors import ModelError
from ..files.atomic import replacing
from ..package import ModelPackage
from ..progress import Progress, SubProgress
from ..weights import load_networks
from .pattern import FILE, SEEDS, Pattern, pattern_for

KEPT, LOOKED_AT = 5, 20
"""Boxes that are stored, and those among which they are looked for: near ties may change places."""

TOLERANCE, TOLERANCE_VOXELS = 0.01, 0.02
"""Largest difference of a score and of a box's sides."""


def make_box_check(package: ModelPackage, progress: Progress) -> Path:
    """Write ``configs/self_check.json`` into a detector's folder.

    Of a few synthetic images it takes the one in which the model is surest of something.

    Raises
    ------
    CNNSegError
        The model cannot be run, or the folder not be written to.
    """
    tried = []
    for number, seed in enumerate(SEEDS):
        pattern, share = pattern_for(package, seed), number / len(SEEDS)
        tried.append((pattern, _best(package, pattern, SubProgress(progress, share, share + 1 / len(SEEDS)))))
    pattern, found = max(tried, key=lambda one: float(one[1].scores[0]))
    with replacing(package.folder / FILE) as temporary:
        plain = {
            "image": pattern.to_json(),
            "boxes": found.boxes[:KEPT].round(4).tolist(),
            "scores": found.scores[:KEPT].round(6).tolist(),
        }
        temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return package.folder / FILE


def same_boxes(package: ModelPackage, progress: Progress) -> tuple[bool | None, str]:
    """Whether the model finds the stored boxes, and how far they are off; None where there are none.

    Raises
    ------
    ModelError
        The stored image or boxes make no sense.
    """
    if not (package.folder / FILE).is_file():
        return None, f"the model has no {FILE.as_posix()}"
    pattern, expected = _read(package.folder / FILE)
    found = _best(package, pattern, progress)
    away = np.abs(expected.boxes[:, None] - found.boxes[None]).max(axis=2)
    nearest = away.argmin(axis=1)
    sides = float(away.min(axis=1).max())
    scores = float(np.abs(found.scores[nearest] - expected.scores).max())
    detail = f"largest difference of a score {scores:.1e}, of a side {sides:.1e} voxels"
    return bool(scores <= TOLERANCE and sides <= TOLERANCE_VOXELS), detail


def _read(path: Path) -> tuple[Pattern, Boxes]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pattern = Pattern.from_json(data["image"])
        boxes = np.array(data["boxes"], dtype=np.float64).reshape(-1, 6)
        scores = np.array(data["scores"], dtype=np.float64).reshape(len(boxes))
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{FILE.as_posix()} cannot be read ({error}); get the model anew.") from error
    if not len(boxes) or not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        raise ModelError(f"{FILE.as_posix()} has no boxes, or some that are no numbers; get the model anew.")
    return pattern, Boxes(boxes, scores)


def _best(package: ModelPackage, pattern: Pattern, progress: Progress) -> Boxes:
    """The best boxes in the image, in voxels of network space, on the CPU in full precision."""
    plan, (volume,) = Plan.of(package), pattern.volumes(package)
    tensor, placement = plan.preprocessing.prepare(volume)
    how = replace(plan.search(placement, 1), candidate_score=0.0)
    networks = load_networks(package, torch.device("cpu"))
    found = search(tensor, networks, how, progress, mirrorings=plan.model.mirrorings(mirror=False))
    return Boxes(found.boxes[:LOOKED_AT], found.scores[:LOOKED_AT])
