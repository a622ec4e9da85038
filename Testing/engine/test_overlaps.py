"""Structures that overlap as combinations in one labelmap."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.overlaps import compounds, encoded, highest_code, region_labels

A, B, C = (Label(n + 1, name, color) for n, (name, color) in enumerate(
    [("A", (1.0, 0.0, 0.0)), ("B", (0.0, 1.0, 0.0)), ("C", (0.0, 0.0, 0.0))]
))  # fmt: skip


@pytest.mark.parametrize("count", [1, 3, 8, 9, 12])
def test_masks_come_back_out_of_the_codes(count):
    masks = np.random.default_rng(0).random((count, 3, 4, 5)) > 0.5
    codes = encoded(masks)
    assert codes.dtype == (np.uint8 if count <= 8 else np.uint16)
    assert codes.max() <= highest_code(count, "model")
    structures = [Label(n + 1, f"s{n}", (0.0, 0.0, 0.0)) for n in range(count)]
    for mask, compound in zip(masks, compounds(structures, 0, 10_000), strict=True):
        np.testing.assert_array_equal(np.isin(codes, list(compound.values)), mask)


def test_values_are_named_by_what_is_there():
    labels = region_labels((A, B, C), [1, 3, 7], offset=7)
    assert [(label.value, label.name) for label in labels] == [(8, "A only"), (10, "A + B"), (14, "A + B + C")]
    assert labels[1].color == (0.5, 0.5, 0.0)


def test_structures_of_a_second_region_have_values_of_their_own():
    whole = compounds((A, B), offset=3, first_value=7)
    assert [(x.label.name, x.label.value, x.values) for x in whole] == [
        ("A", 7, frozenset({4, 6})), ("B", 8, frozenset({5, 6}))
    ]  # fmt: skip


def test_too_many_structures_are_refused():
    with pytest.raises(ModelError, match="The model m has 13 structures that may overlap; expected at most 12"):
        highest_code(13, "m")
