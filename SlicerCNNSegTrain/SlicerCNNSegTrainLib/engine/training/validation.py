"""How good the network is on the held-out cases while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.windows import Inferer, class_probabilities

from .samples import Sample


def mean_dice(network: torch.nn.Module, samples: Sequence[Sample], inferer: Inferer, precision: str) -> np.ndarray:
    """Mean Dice per structure over the samples, in network space; shape (structures,).

    A quick number to steer by. The number to publish comes from ``evaluate.py``, on the images' own
    grids and from the exported files. Cases in which a structure is absent from both don't count; where
    that leaves none, the structure is masked, and so left out of a mean over structures.
    """
    autocast = torch.bfloat16 if precision == "bf16" else None
    rows = []
    network.eval()
    with torch.inference_mode():
        for sample in samples:
            probabilities = class_probabilities(sample.image, [network], inferer, NoProgress(), autocast=autocast)
            found, truth = probabilities.argmax(0), sample.label[0].to(probabilities.device)
            row = []
            for value in range(1, probabilities.shape[0]):
                a, b = found == value, truth == value
                size = int(a.sum() + b.sum())
                row.append(2 * int((a & b).sum()) / size if size else np.nan)
            rows.append(row)
    return np.ma.masked_invalid(np.array(rows)).mean(axis=0)
