"""The quick number while training."""

import numpy as np
import torch

from SlicerCNNSegLib.engine.windows import Inferer
from SlicerCNNSegTrainLib.engine.training.samples import Sample
from SlicerCNNSegTrainLib.engine.training.validation import mean_dice


class Thresholds(torch.nn.Module):
    """Finds class 1 above 0, and class 2 never."""

    def __init__(self):
        super().__init__()
        self.where = torch.nn.Parameter(torch.zeros(()))  # a network's device is that of its parameters

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), image, torch.full_like(image, -9.0)], dim=1)


def test_a_structure_that_no_case_holds_does_not_count():
    image = -torch.ones(1, 8, 8, 8)
    image[:, :4] = 1.0
    label = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    label[:, :2] = 1
    samples = [Sample("a", image, label, np.argwhere(label[0].numpy()))]
    dice = mean_dice(Thresholds(), samples, Inferer((8, 8, 8), overlap=0.5), "fp32")
    assert dice[0] == 2 * 128 / (256 + 128)
    assert dice.mask.tolist() == [False, True]
    assert float(dice.mean()) == dice[0]
