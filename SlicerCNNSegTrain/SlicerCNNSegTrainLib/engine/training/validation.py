"""How good the network is on the held-out cases while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.windows import Inferer, class_probabilities
from SlicerCNNSegLib.engine.windows.network import prepared

from .losses import IGNORED
from .samples import Sample


def dice_rows(
    network: torch.nn.Module, samples: Sequence[Sample], inferer: Inferer, autocast: torch.dtype | None
) -> list[list[float]]:
    """Dice of each sample's structures in network space, shape (samples, structures).

    A quick number to steer by. The number to publish comes from ``results/evaluate.py``, on the images'
    own grids and from the exported files. NaN stands for a structure that is absent from prediction and
    truth, or was not contoured. Voxels that nobody labelled don't count.
    """
    rows = []
    ready = prepared(network.eval(), autocast)
    with torch.inference_mode():
        for sample in samples:
            probabilities = class_probabilities(sample.image, [ready], inferer, NoProgress(), autocast=autocast)
            found, truth = probabilities.argmax(0), sample.label[0].to(probabilities.device)
            known = truth != IGNORED
            row = []
            for value in range(1, probabilities.shape[0]):
                a, b = (found == value) & known, truth == value
                size = int(a.sum() + b.sum()) if sample.contoured[value] else 0
                row.append(2 * int((a & b).sum()) / size if size else np.nan)
            rows.append(row)
    return rows


def mean_over_cases(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean of each column, shape (structures,); one without any number is NaN."""
    return np.ma.masked_invalid(np.array(rows, float)).mean(axis=0).filled(np.nan)
