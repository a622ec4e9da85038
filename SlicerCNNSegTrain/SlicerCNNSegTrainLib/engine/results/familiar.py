"""What a classifier was trained on, measured for its bundle: which images look like them, to us and to the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SlicerCNNSegLib.engine.classification.classify import Plan
from SlicerCNNSegLib.engine.classification.familiarity import Familiarity
from SlicerCNNSegLib.engine.classification.fingerprint import Fingerprint, Look
from SlicerCNNSegLib.engine.classification.scores import Scores, Watched
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.progress import Progress, SubProgress, advance
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import load_networks

from ..data.cases import ClassifiedImage
from ..recipe import Recipe
from .classified import truth_of

STUDIED = 500
"""Training images that are measured; of more every so many-th. The held-out ones are all measured."""


def study_images(
    bundle: Path,
    training: Sequence[ClassifiedImage],
    held_out: Sequence[ClassifiedImage],
    recipe: Recipe,
    progress: Progress,
) -> dict[str, Any]:
    """``fingerprint`` and ``familiarity`` of a bundle of one network, in plain form, as the bundle keeps them.

    Parameters
    ----------
    training:
        Give the fingerprint, and the features that are familiar.
    held_out:
        Give the distance that is far.
    """
    package = ModelPackage.read(bundle)
    plan = Plan.of(package)
    some = training[:: -(-len(training) // STUDIED)]
    looks, features = _measure(plan, some, SubProgress(progress, 0.0, 0.6))
    framing = plan.framing
    found: dict[str, Any] = {
        "fingerprint": Fingerprint.of(looks, in_mm=framing.oriented, absolute=framing.absolute).to_json()
    }
    if plan.last_features:
        _, others = _measure(plan, held_out, SubProgress(progress, 0.6, 1.0))
        found["familiarity"] = [Familiarity.fit(features, truth_of(some, recipe), others).to_json()]
    return found


def merge_studies(bundles: Sequence[Path]) -> dict[str, Any]:
    """Of an ensemble of these bundles' networks, in their order."""
    running = [
        json.loads((one / "configs" / "inference.json").read_text(encoding="utf-8"))["cnnseg"] for one in bundles
    ]
    merged = reduce(Fingerprint.merged, (Fingerprint.from_json(one["fingerprint"]) for one in running))
    found: dict[str, Any] = {"fingerprint": merged.to_json()}
    familiar = [one for own in running for one in own.get("familiarity", ())]
    return found | ({"familiarity": familiar} if familiar else {})


def _measure(plan: Plan, images: Sequence[ClassifiedImage], progress: Progress) -> tuple[list[Look], np.ndarray]:
    """What images look like, and the network's features of them, ``(image, feature)``; empty where it has none."""
    networks = [Scores(network, plan.model) for network in load_networks(plan.model.package, torch.device("cpu"))]
    looks, rows = [], []
    for index, one in enumerate(images):
        advance(progress, index / len(images), f"Measuring {one.id}")
        image = Volume.stacked([read_volume(path) for path in one.images])
        framed = plan.framing.whole(image)
        looks.append(plan.framing.look(image.cropped(framed.start_ijk, framed.stop_ijk)))
        if plan.last_features:
            with Watched(networks, plan.last_features) as watched, torch.inference_mode():
                networks[0](framed.tensor[None])
            rows.append(watched.features()[0])
    return looks, np.concatenate(rows) if rows else np.empty((len(images), 0))
