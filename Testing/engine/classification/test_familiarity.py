"""Whether an image is like the training images to the network; runs with dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_classifier import write_tiny_classifier

from SlicerCNNSegLib.engine.classification.familiarity import Familiarity
from SlicerCNNSegLib.engine.errors import ModelError, SettingsError
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

RESIZED = {"_target_": "Resized", "spatial_size": [8, 8, 8]}
RNG = np.random.default_rng(0)
TRUTH = np.repeat(np.eye(2, dtype=bool), 300, axis=0)
CENTRES = np.array([[0.0, 5.0, 1.0], [4.0, 5.0, -1.0]])
DEVIATIONS = np.array([1.0, 0.1, 2.0])


def drawn(seed, count=300):
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(centre, DEVIATIONS, (count, 3)) for centre in CENTRES])


def an_image(bright=0.0, seed=0):
    values = np.random.default_rng(seed).normal(0, 1, (8, 8, 8)) + bright
    return Volume(values[None].astype(np.float32), np.eye(4))


def features_of(volume):
    """BrightDark's own: the means of the positive and of the negative part."""
    return np.array([np.maximum(volume.array, 0).mean(), np.maximum(-volume.array, 0).mean()])


FIT = Familiarity.fit(drawn(1), TRUTH, drawn(2))


def test_centres_and_deviations_are_those_of_the_classes():
    first, second = np.split(drawn(1), 2)
    np.testing.assert_allclose(FIT.centres, [first.mean(0), second.mean(0)])
    np.testing.assert_allclose(FIT.deviations, np.sqrt((first.var(0) + second.var(0)) / 2))
    np.testing.assert_allclose(FIT.deviations, DEVIATIONS, rtol=0.1)


def test_novelty_is_the_distance_to_the_nearest_class_over_that_of_the_held_out():
    point = np.array([[4.0, 5.3, -1.0]])
    away = (point - FIT.centres[1]) / FIT.deviations
    assert FIT.novelty(point)[0] == pytest.approx(np.sqrt((away**2).mean()) / FIT.limit)
    assert np.mean(FIT.novelty(drawn(2)) <= 1) == pytest.approx(0.99, abs=0.005)
    assert np.mean(FIT.novelty(drawn(3)) <= 1) == pytest.approx(0.99, abs=0.02)
    assert FIT.novelty(np.array([[2.0, 8.0, 0.0]]))[0] > 5


def test_text_keeps_it():
    again = Familiarity.from_json(FIT.to_json())
    np.testing.assert_allclose(again.novelty(drawn(4)), FIT.novelty(drawn(4)), rtol=1e-5)


def test_a_feature_that_never_varied_does_not_decide_alone():
    still = np.hstack([drawn(1), np.full((600, 1), 2.0)])
    fit = Familiarity.fit(still, TRUTH, still)
    assert np.isfinite(fit.novelty(still)).all()


@pytest.fixture
def familiar():
    """Of BrightDark, from images about as bright as dark."""
    training = np.array([features_of(an_image(seed=n)) for n in range(200)])
    held_out = np.array([features_of(an_image(seed=n)) for n in range(200, 400)])
    return Familiarity.fit(training, np.ones((200, 1), bool), held_out)


def test_a_run_tells_what_is_far_off(tmp_path, familiar):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RESIZED], running={"familiarity": [familiar.to_json()]})
    settings = ClassificationSettings(str(folder), device="cpu", precision="fp32")
    near = run(settings, [an_image(seed=999)])
    assert near.predictions[0].novelty == pytest.approx(
        familiar.novelty(features_of(an_image(seed=999))[None])[0], rel=1e-4
    )
    assert near.rows()[0]["novelty"] == round(near.predictions[0].novelty, 4)
    assert near.record.warnings == ()
    far = run(settings, [an_image(bright=3.0)])
    assert far.predictions[0].novelty > 3
    (warning,) = far.record.warnings
    assert warning.startswith("To m the image is unlike the images that it was trained on (novelty ")
    size = ",".join(f"0,{n}" for n in an_image(bright=3.0).geometry.size_ijk)
    whole = tuple(Region.parse("ijk", f"R{n:02d}={size}") for n in range(30))
    (warning,) = run(replace(settings, regions=whole), [an_image(bright=3.0)]).record.warnings
    assert warning.startswith("To m R00, R01, R02, ")
    assert " and 18 more are unlike the images that it was trained on (novelty up to " in warning


def test_of_an_ensemble_the_mean_counts(tmp_path, familiar):
    other = Familiarity(familiar.centres + 1, familiar.deviations, familiar.limit)
    both = [familiar.to_json(), other.to_json()]
    folder = write_tiny_classifier(
        tmp_path / "m", transforms=[RESIZED], members=({}, {}), running={"familiarity": both}
    )
    image = an_image(seed=5)
    found = run(ClassificationSettings(str(folder), device="cpu", precision="fp32"), [image]).predictions[0].novelty
    wanted = np.mean([one.novelty(features_of(image)[None])[0] for one in (familiar, other)])
    assert found == pytest.approx(wanted, rel=1e-4)


def test_without_it_nothing_is_said(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RESIZED])
    result = run(ClassificationSettings(str(folder), device="cpu"), [an_image(bright=50.0)])
    assert result.predictions[0].novelty is None
    assert result.rows()[0]["novelty"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: [plain, plain], "has 1 weights files and familiarity of 2"),
        (lambda plain: [{**plain, "limit": 0}], "wrong value in the block cnnseg"),
        (lambda plain: [{**plain, "centres": "!"}], "wrong value in the block cnnseg"),
        (lambda plain: [{"limit": 1}], "wrong value in the block cnnseg"),
    ],
)
def test_a_damaged_one_is_told(tmp_path, familiar, change, message):
    running = {"familiarity": change(familiar.to_json())}
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RESIZED], running=running)
    with pytest.raises(ModelError, match=message):
        run(ClassificationSettings(str(folder)), [an_image()])


VGG = {"_target_": "VGG", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "widths": [4], "convolutions": [1]}


@pytest.fixture
def a_network_with_dropout(tmp_path):
    return write_tiny_classifier(tmp_path / "m", transforms=[RESIZED], network={**VGG, "dropout": 0.5})


def test_runs_with_dropout_spread_and_are_the_same_each_time(a_network_with_dropout):
    def of(samples):
        settings = ClassificationSettings(str(a_network_with_dropout), device="cpu", dropout_samples=samples)
        return run(settings, [an_image()]).predictions[0]

    plain, few, many = of(0), of(2), of(200)
    assert plain.spread is None
    assert few.spread[0] > 0
    assert of(200) == many
    assert many.spread[0] > 1e-3
    assert many.probabilities[0] == pytest.approx(plain.probabilities[0], abs=0.1)
    assert of(0) == plain  # dropout is off again


def test_the_state_of_random_numbers_is_left_alone(a_network_with_dropout):
    settings = ClassificationSettings(str(a_network_with_dropout), device="cpu", dropout_samples=3)
    run(settings, [an_image()])  # loads the network
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    run(settings, [an_image()])
    torch.testing.assert_close(torch.rand(2), wanted)


def test_runs_with_dropout_that_make_no_sense_are_refused(tmp_path):
    folder = write_tiny_classifier(tmp_path / "m", transforms=[RESIZED], network={**VGG, "dropout": 0.0})
    with pytest.raises(SettingsError, match="Expected a network with dropout for runs with it"):
        run(ClassificationSettings(str(folder), device="cpu", dropout_samples=5), [an_image()])
    for wrong in (1, -2):
        with pytest.raises(SettingsError, match="Expected 0, or 2 and more runs with dropout"):
            ClassificationSettings(str(folder), dropout_samples=wrong)
