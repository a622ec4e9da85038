"""Losses, against MONAI's, PyTorch's and closed forms."""

import math

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss, FocalLoss, TverskyLoss

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegTrainLib.engine.training.losses import (
    IGNORED,
    SegmentationLoss,
    balanced_weights,
    beside_border,
    merge_uncontoured,
)

CLASSES = 3
ALL_CONTOURED = torch.ones(2, CLASSES, dtype=torch.bool)


@pytest.fixture
def output():
    return torch.randn(2, CLASSES, 6, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.fixture
def label():
    return torch.randint(0, CLASSES, (2, 1, 6, 5, 4), generator=torch.Generator().manual_seed(1))


def loss_of(terms, output, label, contoured=ALL_CONTOURED, weights=None):
    weights = torch.ones(CLASSES) if weights is None else weights
    return SegmentationLoss(terms, weights)(output, label, contoured)


THEIRS = {
    "dice": DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True),
    "tversky": TverskyLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, alpha=0.3, beta=0.7),
}


@pytest.mark.parametrize("name", THEIRS)
def test_overlap_terms_are_monais(output, label, name):
    assert loss_of({name: 1.0}, output, label).item() == pytest.approx(THEIRS[name](output, label).item(), abs=1e-6)


def test_dice_and_cross_entropy_are_monais_with_the_same_gradient(output, label):
    ours = loss_of({"dice": 1.0, "cross_entropy": 1.0}, output, label)
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)(output, label)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    gradients = [torch.autograd.grad(loss, output, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-4)


def test_focal_is_monais(output, label):
    # MONAI averages over classes too, which are zero but for the true one
    theirs = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)(output, label) * CLASSES
    assert loss_of({"focal": 1.0}, output, label).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_class_weights_are_pytorchs(output, label):
    weights = torch.tensor([0.5, 1.0, 4.0])
    expected = torch.nn.functional.cross_entropy(output, label[:, 0], weight=weights)
    # PyTorch weighs the terms as we do, and divides by the same sum
    assert loss_of({"cross_entropy": 1.0}, output, label, weights=weights).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_what_nobody_labelled_changes_nothing(output, label):
    label[:, :, 3:] = IGNORED
    terms = {"dice": 1.0, "tversky": 1.0, "cross_entropy": 1.0, "focal": 1.0}
    with torch.no_grad():
        cropped = loss_of(terms, output[:, :, :3], label[:, :, :3])
    loss = loss_of(terms, output, label)
    assert loss.item() == pytest.approx(cropped.item(), rel=1e-5)
    loss.backward()
    assert not output.grad[:, :, 3:].any()


def test_a_structure_that_was_not_contoured_is_not_learned_as_background(output, label):
    label[label == 2] = 0
    contoured = torch.tensor([[True, True, False]] * 2)
    with torch.no_grad():
        merged = torch.cat([torch.logsumexp(output[:, [0, 2]], 1, keepdim=True), output[:, 1:2]], 1)
        expected = SegmentationLoss({"cross_entropy": 1.0}, torch.ones(2))(merged, label, contoured[:, :2])
    loss = loss_of({"cross_entropy": 1.0}, output, label, contoured)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert merge_uncontoured(output, ALL_CONTOURED) is output
    confident = torch.zeros(2, CLASSES, 6, 5, 4)
    confident[:, 2] = 40.0  # finds what was not contoured everywhere
    empty = torch.zeros_like(label)
    assert loss_of({"dice": 1.0, "cross_entropy": 1.0}, confident, empty, contoured).item() == pytest.approx(
        0, abs=1e-3
    )
    assert loss_of({"cross_entropy": 1.0}, confident, empty).item() == pytest.approx(40, rel=1e-3)


def test_borders_count_more():
    label = torch.zeros(1, 1, 8, 4, 4, dtype=torch.long)
    label[:, :, 4:] = 1
    assert beside_border(label[:, 0])[0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert beside_border(label[:, 0, :, :, 0])[0, :, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    output = torch.zeros(1, 2, 8, 4, 4)
    loss = SegmentationLoss({"boundary": 1.0}, torch.ones(2))(output, label, torch.ones(1, 2, dtype=torch.bool))
    assert loss.item() == pytest.approx(math.log(2) * (6 + 2 * 5) / 8, rel=1e-5)


def test_deep_supervision_weighs_the_levels_by_halves(output, label):
    other = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    terms = {"dice": 1.0, "cross_entropy": 1.0}
    both = loss_of(terms, torch.stack([output, other], dim=1), label)
    fine, coarse = loss_of(terms, output, label), loss_of(terms, other, label)
    assert both.item() == pytest.approx((2 * fine + coarse).item() / 3, rel=1e-6)


def test_balanced_weights_are_the_inverse_root_of_the_share():
    weights = balanced_weights(torch.tensor([900.0, 100.0, 0.0]))
    assert weights[1] / weights[0] == pytest.approx(3)
    assert weights.mean() == pytest.approx(1)
    assert torch.isfinite(weights).all()


def test_faults_are_named():
    with pytest.raises(
        SettingsError, match=r"Unknown loss hinge; expected dice, tversky, cross_entropy, focal, boundary"
    ):
        SegmentationLoss({"hinge": 1.0}, torch.ones(2))
    with pytest.raises(SettingsError, match=r"Expected weights of the loss's terms above 0, got {'dice': 0}"):
        SegmentationLoss({"dice": 0}, torch.ones(2))
