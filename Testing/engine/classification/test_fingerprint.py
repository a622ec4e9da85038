"""Whether an image is like the training images, by plain numbers; and that a run says so."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_classifier import write_tiny_classifier

from SlicerCNNSegLib.engine.classification.fingerprint import Fingerprint, Look
from SlicerCNNSegLib.engine.classification.framing import Framing
from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

RNG = np.random.default_rng(0)
ORIENTED = {"_target_": "Orientationd", "axcodes": "RAS"}
SCALED = {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 600, "b_min": 0, "b_max": 1}
RESIZED = {"_target_": "Resized", "spatial_size": [16, 16, 16]}


def a_ct(spacing=1.0, size=20, shift=0.0, seed=0):
    """Lung with a ball of soft tissue, about -850 and 40 HU."""
    k, j, i = np.indices((size, size, size)) - size / 2
    ball = np.sqrt(i**2 + j**2 + k**2) < size / 4
    array = np.where(ball, 40.0, -850.0) + np.random.default_rng(seed).normal(0, 30, ball.shape) + shift
    return Volume(array[None].astype(np.float32), np.diag([-spacing, -spacing, spacing, 1.0]))


FRAMING = Framing.from_transforms([ORIENTED, RESIZED, SCALED], slices=0)
TRAINED = Fingerprint.of(
    [FRAMING.look(a_ct(spacing, seed=n)) for n, spacing in enumerate((0.8, 1.0, 1.2))], in_mm=True, absolute=True
)


def test_a_look_is_along_the_networks_axes():
    array = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 4, 3, 2)
    matrix = np.array([[0, 0, 3.0, 0], [2.0, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 0, 1]])  # i is A, j is S, k is R
    look = FRAMING.look(Volume(array, matrix))
    np.testing.assert_allclose(look.spacing_mm, [3, 2, 1.5])
    np.testing.assert_allclose(look.extent_mm, [12, 4, 4.5])
    np.testing.assert_allclose(look.percentiles, np.percentile(array, [1, 50, 99])[None])


@pytest.mark.parametrize("image", [a_ct(1.0, seed=9), a_ct(1.9, size=12), a_ct(0.7), a_ct(shift=60.0)])
def test_an_image_like_those_of_the_training_is_none_to_warn_of(image):
    assert TRAINED.differences(FRAMING.look(image)) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (a_ct(2.5, size=9), ["a spacing of 2.5 x 2.5 x 2.5 mm (trained with 0.8-1.2 x 0.8-1.2 x 0.8-1.2)"]),
        (a_ct(1.0, size=40), ["a size of 40 x 40 x 40 mm (trained with 16-24"]),
        (a_ct(1.0, size=10), ["a size of 10 x 10 x 10 mm"]),
        (a_ct(shift=1000.0), ["intensities of"]),
        (Volume((a_ct().array + 1000) / 8, a_ct().ijk_to_ras), ["intensities of"]),
        (a_ct(3.0, size=30, shift=1000.0), ["a spacing", "a size", "intensities"]),
    ],
    ids=["coarse", "large", "small", "offset", "8 bits", "all"],
)
def test_what_is_different_is_named(image, words):
    found = TRAINED.differences(FRAMING.look(image))
    assert len(found) == len(words)
    for text, wanted in zip(found, words, strict=True):
        assert text.startswith(wanted)


def test_to_a_model_that_normalises_the_scale_of_intensities_is_nothing():
    framing = Framing.from_transforms([ORIENTED, RESIZED, {"_target_": "NormalizeIntensityd"}], slices=0)
    assert (framing.absolute, FRAMING.absolute) == (False, True)
    trained = Fingerprint.of([framing.look(a_ct())], in_mm=True, absolute=framing.absolute)
    assert trained.differences(framing.look(a_ct(shift=5000.0))) == []


def test_pictures_have_pixels_and_may_be_larger():
    framing = Framing.from_transforms([{"_target_": "Resized", "spatial_size": [28, 28]}], slices=1)
    picture = [Volume(RNG.normal(size=(1, 1, n, n)), np.diag([0.1, 0.1, 1, 1])) for n in (28, 1000, 12)]
    trained = Fingerprint.of([framing.look(picture[0])], in_mm=framing.oriented, absolute=False)
    assert trained.spacing_mm is None
    assert trained.differences(framing.look(picture[1])) == []
    assert trained.differences(framing.look(picture[2])) == ["a size of 12 x 12 pixels (trained with 28 x 28)"]


def test_of_neighbouring_slices_the_distance_counts_and_their_extent_does_not():
    sizes = [{"_target_": "ResizeWithPadOrCropd", "spatial_size": [16, 16]}]
    one, three = (Framing.from_transforms([ORIENTED, *sizes], slices=n) for n in (1, 3))
    part = Volume(np.zeros((1, 1, 16, 16)), np.diag([0.7, 0.7, 5.0, 1.0]))
    assert (one.look(part).spacing_mm.tolist(), three.look(part).spacing_mm.tolist()) == ([0.7, 0.7], [0.7, 0.7, 5.0])
    assert len(three.look(part).extent_mm) == 2


def test_two_fingerprints_make_one_and_text_keeps_it():
    other = Fingerprint.of([FRAMING.look(a_ct(2.0, shift=400.0))], in_mm=True, absolute=True)
    both = TRAINED.merged(other)
    np.testing.assert_allclose(both.spacing_mm, [[0.8] * 3, [2.0] * 3])
    assert both.differences(FRAMING.look(a_ct(2.0, shift=400.0))) == []
    again = Fingerprint.from_json(both.to_json())
    np.testing.assert_allclose(again.percentiles, both.percentiles, atol=1e-3)
    with pytest.raises(ValueError, match="expected the smallest and largest extent_mm"):
        Fingerprint.from_json({"spacing_mm": None, "extent_mm": [1, 2], "percentiles": None})
    assert isinstance(Look.at(a_ct(), (0, 1, 2), 3, in_mm=True), Look)


def test_a_run_tells_of_it_before_and_of_each_region(tmp_path):
    folder = write_tiny_classifier(
        tmp_path / "lung", transforms=[ORIENTED, RESIZED, SCALED], running={"fingerprint": TRAINED.to_json()}
    )
    settings = ClassificationSettings(str(folder), device="cpu")
    assert run(settings, [a_ct()]).record.warnings == ()
    (warning,) = run(settings, [a_ct(shift=1000.0)]).record.warnings
    assert warning.startswith("Unlike the training images of lung: the image has intensities of ")
    size = ",".join(f"0,{n}" for n in a_ct().geometry.size_ijk)
    several = replace(settings, regions=tuple(Region.parse("ijk", f"{name}={size}") for name in "ABC"))
    (warning,) = run(several, [a_ct(shift=1000.0)]).record.warnings
    assert warning.startswith("Unlike the training images of lung: A has intensities of ")
    assert warning.endswith(", and so are B, C.")


def test_a_damaged_fingerprint_is_told(tmp_path):
    folder = write_tiny_classifier(tmp_path / "lung", transforms=[RESIZED], running={"fingerprint": {"spacing_mm": 1}})
    with pytest.raises(ModelError, match="has a wrong value in the block cnnseg"):
        run(ClassificationSettings(str(folder)), [a_ct()])
