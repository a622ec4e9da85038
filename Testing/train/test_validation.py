"""The quick number while training."""

import numpy as np
import pytest
import torch

from SlicerCNNSegLib.engine.windows import Inferer
from SlicerCNNSegTrainLib.engine.training.losses import IGNORED
from SlicerCNNSegTrainLib.engine.training.samples import Sample
from SlicerCNNSegTrainLib.engine.training.validation import dice_rows, mean_over_cases


class Thresholds(torch.nn.Module):
    """Finds class 1 above 0, and class 2 never."""

    def __init__(self):
        super().__init__()
        self.where = torch.nn.Parameter(torch.zeros(()))  # a network's device is that of its parameters

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), image, torch.full_like(image, -9.0)], dim=1)


@pytest.fixture
def image():
    image = -torch.ones(1, 8, 8, 8)
    image[:, :4] = 1.0
    return image


def rows_of(image, label, contoured):
    return dice_rows(Thresholds(), [Sample("a", image, label, contoured)], Inferer((8, 8, 8), overlap=0.5), None)


def test_a_structure_that_no_case_holds_does_not_count(image):
    label = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    label[:, :2] = 1
    [row] = rows_of(image, label, (True, True, True))
    assert row[0] == 2 * 128 / (256 + 128)
    assert np.isnan(row[1])
    assert mean_over_cases([row, [0.0, np.nan]]).tolist()[0] == row[0] / 2
    assert np.isnan(mean_over_cases([row, row])[1])


def test_what_nobody_labelled_does_not_count(image):
    label = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    label[:, :2], label[:, 2:4] = 1, IGNORED
    assert rows_of(image, label, (True, True, True))[0][0] == 1.0
    assert np.isnan(rows_of(image, label, (True, False, True))[0][0])
