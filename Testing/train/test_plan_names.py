"""What names tell: sides of structures, modalities of channels."""

import pytest

from SlicerCNNSegTrainLib.engine.planning.modality import modality_of
from SlicerCNNSegTrainLib.engine.planning.sides import mirrored_pairs


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("LeftParotid", "RightParotid"),
        ("kidney_left", "kidney_right"),
        ("Lung, L", "Lung, R"),
        ("lh.hippocampus", "rh.hippocampus"),
        ("Eye_L", "Eye_R"),
    ],
)
def test_pairs_are_found_by_name(left, right):
    assert mirrored_pairs({7: right, 1: "Liver", 3: left}) == (((3, 7),), ())


def test_a_side_without_its_other_side_is_told():
    names = {1: "Left kidney", 2: "Right kidney", 3: "left adrenal gland", 4: "Spleen"}
    assert mirrored_pairs(names) == (((1, 2),), ("left adrenal gland",))


def test_letters_inside_of_words_are_no_sides():
    assert mirrored_pairs({1: "vertebra L1", 2: "vertebra R1", 3: "liver", 4: "river"}) == ((), ())


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CT", "CT"),
        ("CBCT", "CT"),
        ("T1", "MR"),
        ("MRI", "MR"),
        ("FLAIR", "MR"),
        ("t2w_prostate", "MR"),
        ("PET", "PT"),
        ("X-ray", "DX"),
        ("octant", ""),
        ("channel 0", ""),
    ],
)
def test_modalities_are_told_by_words(name, modality):
    assert modality_of(name) == modality
