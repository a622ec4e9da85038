"""A detector over a volume: how many times faster than MONAI's, in which memory, and whether it finds the same.

Run: ``OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python Testing/benchmarks/inference_detector.py``. The RetinaNet of
``nodule-detection-demo`` with its weights looks at a volume of noise as bright as lungs, with balls in it. The peer is
MONAI's RetinaNetDetector with its sliding windows (Gaussian) in fp32, with the same anchors as far as it can have them:
its own are rounded to whole voxels and lie half a cell further, and so do its boxes. Sides are processes that take
turns, as in ``inference_windows.py``. Neither looks at mirror images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from inference_side import serve
from inference_windows import Side, in_turn, operations, report
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGenerator
from scipy.spatial.distance import cdist

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.detection.own import Plan
from SlicerCNNSegLib.engine.detection.search import MOST_CANDIDATES, MOST_IN_WINDOW, Search, search
from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.heap import kept_memory
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.weights import load_networks
from SlicerCNNSegLib.engine.windows.network import prepared

MODEL, SIDES = "nodule-detection-demo", ("cnnseg", "monai")
BALLS = 30
LUNG, TISSUE, NOISE = -850.0, 40.0, 30.0
"""HU."""

SURE, NEAR = 0.5, 8.0
"""Score from which on a box of one side is looked for on the other, and how many voxels its middle may be away."""


def volume(plan: Plan, size: int) -> torch.Tensor:
    """A cube as the model is given one, shape (1, size, size, size)."""
    random = np.random.default_rng(0)
    hu = random.normal(LUNG, NOISE, (size,) * 3).astype(np.float32)
    at = np.indices(hu.shape).transpose(1, 2, 3, 0)
    for _ in range(BALLS):
        radius, middle = random.uniform(3, 8), random.uniform(12, size - 12, 3)
        hu[((at - middle) ** 2).sum(axis=-1) < radius**2] += TISSUE - LUNG
    return plan.preprocessing.prepare(Volume(hu[None], np.eye(4), modality="CT"))[0]


def cnnseg_side(network: torch.nn.Module, how: Search) -> Callable[[torch.Tensor], np.ndarray]:
    """As ``engine/detection/own.py`` does it, without lungs to look in."""

    def rows(image: torch.Tensor) -> np.ndarray:
        with kept_memory():
            ready = prepared(network, AUTOCAST["bf16"])
            found = search(image, [ready], how, NoProgress(), autocast=AUTOCAST["bf16"])
        return np.column_stack([found.boxes, found.scores])

    return rows


def monai_side(network: RetinaNet, how: Search) -> Callable[[torch.Tensor], np.ndarray]:
    """MONAI's detector, with the same windows, thresholds and numbers of boxes."""
    sizes = [[round(edges[0]) for edges in level] for level in how.anchors]
    anchors = AnchorGenerator(sizes, (((1.0, 1.0),),) * len(sizes))
    detector = RetinaNetDetector(network, anchors).eval()
    detector.set_box_selector_parameters(
        score_thresh=how.candidate_score, topk_candidates_per_level=MOST_IN_WINDOW, nms_thresh=how.merge_overlap,
        detections_per_img=MOST_CANDIDATES,
    )  # fmt: skip
    detector.set_sliding_window_inferer(how.window, how.batch, how.overlap, mode="gaussian")

    def rows(image: torch.Tensor) -> np.ndarray:
        found = detector([image], use_inferer=True)[0]
        scores = found[detector.pred_score_key][:, None]
        return torch.cat([found[detector.target_box_key], scores], dim=1).numpy()

    return rows


def compared(sure: np.ndarray, other: np.ndarray, name: str, other_name: str) -> str:
    """How many of one side's sure boxes, shape (n, 7) with their scores, the other one has too."""
    sure = sure[sure[:, 6] >= SURE]
    middles = [(rows[:, :3] + rows[:, 3:6]) / 2 for rows in (sure, other)]
    return f"{(cdist(*middles).min(axis=1) < NEAR).sum()} of {name}'s {len(sure)} sure boxes are {other_name}'s too"


def main() -> None:
    """Measure and print, or be a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help="be one of them, which the script asks itself")
    options = parser.parse_args()
    package = find_model(MODEL)
    plan = Plan.of(package)
    how = Search(
        plan.anchors, plan.model.window, plan.model.overlap, plan.model.candidate_score, plan.model.merge_overlap
    )
    network = load_networks(package, torch.device("cpu"))[0]
    assert isinstance(network, RetinaNet)
    if options.side:
        work = (cnnseg_side if options.side == "cnnseg" else monai_side)(network, how)
        serve(options.side, network, work, volume(plan, options.size))
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--size", str(options.size), "--side"]
        ours, peer = (Side([*command, side], folder) for side in SIDES)
        in_turn(ours, peer, "monai", options.rounds)
        found, expected = (np.load(Path(folder) / f"{side}.npy") for side in SIDES)
    for pair in ((found, expected, *SIDES), (expected, found, *SIDES[::-1])):
        print(compared(*pair))
    windows = len(how.windows((options.size,) * 3, None))
    report(ours, peer, windows * operations(network, how.window[0]), "bf16")


if __name__ == "__main__":
    main()
