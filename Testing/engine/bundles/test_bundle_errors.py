"""What a bundle that others made does wrong is told in words, as a fault of the model."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from zoo_bundles import ARGMAX, LOADED, SOFTMAX, STYLES, Style, step, transforms, write_bundle

from SlicerCNNSegLib.engine.bundles import runner as runner_module
from SlicerCNNSegLib.engine.errors import (
    Cancelled,
    ChannelError,
    ConfigError,
    GeometryError,
    ModelError,
    OutOfMemoryError,
    SettingsError,
    WeightsError,
)
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [2, 2],
    "strides": [2],
}
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8], "sw_batch_size": 4, "overlap": 0.5}
SMALL = Style(
    {
        "network_def": NETWORK,
        "preprocessing": transforms(*LOADED, step("ScaleIntensityd")),
        "inferer": WINDOWS,
        "postprocessing": transforms(SOFTMAX, ARGMAX),
    }
)
LAYERED = Style(
    {
        **SMALL.config,
        "network_def": {**NETWORK, "out_channels": 3},
        "postprocessing": transforms(
            step("Activationsd", "pred", sigmoid=True), step("AsDiscreted", "pred", threshold=0.5)
        ),
    },
    outputs=("A", "B", "C"),
)


def changed(style, **changes):
    return replace(style, config={**style.config, **changes})


def settings(folder, **more):
    return SegmentationSettings(str(folder), device="cpu", precision="fp32", **more)


@pytest.fixture
def volume():
    array = np.random.default_rng(0).normal(0, 100, (1, 12, 14, 16)).astype(np.float32)
    return Volume(array, np.diag([1.0, 1.0, 2.0, 1.0]), source="noise")


@pytest.mark.parametrize(
    ("style", "error", "message"),
    [
        (changed(SMALL, postprocessing=transforms(step("AsDiscreted", "pred", argmax=True, to_onehot=5))), ModelError,
         r"The bundle b gives 5 channels, but its metadata's channel_def asks for 1 or 2"),
        (replace(changed(SMALL, network_def={**NETWORK, "out_channels": 3}), outputs=("background", "spleen")),
         ModelError, r"The bundle b gives the value 2, but its metadata's channel_def asks for classes 0 to 1"),
        (replace(LAYERED, outputs=("A", "B", "C", "D", "E")), ModelError, r"gives 3 channels, but .* asks for 5"),
        (changed(SMALL, inferer={"_target_": "SimpleInferer"}, preprocessing=transforms(
            *LOADED, step("SpatialPadd", spatial_size=[17, 17, 17]))), ModelError,
         r"The network of b gives an output of 18 x 18 x 18 for an image of 17 x 17 x 17, expected one of the image's"),
        (changed(SMALL, network_def={**NETWORK, "channels": [2, 2, 2, 2], "strides": [2, 2, 2]}, inferer={
            "_target_": "SimpleInferer"}), ModelError,
         r"The network of b fails on an image of \(1, 16, 14, 12\): RuntimeError: Sizes of tensors must match"),
        (changed(SMALL, preprocessing=transforms(*LOADED, step("CropForegroundd", source_key="other"))), ModelError,
         r"The preprocessing of b fails on an image of \(16, 14, 12\): KeyError: .*; run it on an image as those"),
        (changed(SMALL, postprocessing=transforms(step("Activationsd", "other", softmax=True))), ModelError,
         r"The postprocessing of b fails on an image of \(16, 14, 12\): KeyError"),
        (changed(SMALL, inferer=[1]), ModelError, r"The bundle b has an inferer of type list, expected MONAI's"),
        (changed(SMALL, preprocessing=[1]), ModelError, r"The bundle b has a step in preprocessing that is no tr"),
        (changed(SMALL, inferer={**WINDOWS, "cache_roi_weight_map": True}), ConfigError,
         r"asks for SlidingWindowInferer with cache_roi_weight_map=True"),
    ],
)  # fmt: skip
def test_a_fault_is_told(tmp_path, volume, style, error, message):
    folder = write_bundle(tmp_path / "b", style)
    with pytest.raises(error, match=message):
        run(settings(folder), [volume])


def test_a_network_that_is_none_is_told(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", SMALL)
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps({**SMALL.config, "network_def": "$1 + 1"}))
    with pytest.raises(ModelError, match="The bundle b has a network of type int, expected a module"):
        run(settings(folder), [volume])


def test_weights_of_another_network_are_told(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", SMALL)
    torch.save({"a": torch.ones(1)}, folder / "models" / "model.pt")
    with pytest.raises(WeightsError, match=r"don't fit their network: \d+ missing .* 1 unexpected \(first: a\)"):
        run(settings(folder), [volume])


def test_images_that_do_not_do_are_told(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", SMALL)
    with pytest.raises(ChannelError, match=r"The model b expects 1 channel\(s\) \(image\), got 2"):
        run(settings(folder), [volume, volume])
    with pytest.raises(GeometryError, match="The model b expects a 3-D volume, but noise is one slice"):
        run(settings(folder), [volume.cropped((0, 0, 3), (16, 14, 4))])


def test_windows_go_down_the_memory_ladder(tmp_path, volume, monkeypatch):
    folder = write_bundle(tmp_path / "b", SMALL)
    expected = run(settings(folder), [volume]).labelmap
    honest, sizes = runner_module._Predictor.__call__, []

    def short_of_memory(self, windows):
        sizes.append(len(windows))
        if len(windows) > 1:
            raise torch.OutOfMemoryError("no memory")
        return honest(self, windows)

    monkeypatch.setattr(runner_module._Predictor, "__call__", short_of_memory)
    result = run(settings(folder), [volume])
    np.testing.assert_array_equal(result.labelmap, expected)
    assert sizes[0] == 4
    assert set(sizes[1:]) == {1}
    assert any(note.startswith("Memory ran out with 4 window(s)") for note in result.record.warnings)


def test_memory_that_runs_out_elsewhere_is_told(tmp_path, volume, monkeypatch):
    folder = write_bundle(tmp_path / "b", SMALL)

    def short_of_memory(output, source):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(runner_module, "_on_grid", short_of_memory)
    with pytest.raises(OutOfMemoryError, match=r"Memory ran out in the postprocessing of b on an image of \(16, 14"):
        run(settings(folder), [volume])


def test_progress_counts_the_windows_and_can_be_cancelled(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", SMALL)
    progress = RecordingProgress()
    run(settings(folder), [volume], progress)
    shares = [share for share, stage in progress.reports if stage == "Running the network"]
    windows = (3, 3, 2)  # of 8 voxels, every 4, on 16 x 14 x 12
    assert len(shares) == -(-int(np.prod(windows)) // 4)
    np.testing.assert_allclose(np.diff(shares), np.diff(shares)[0])
    with pytest.raises(Cancelled):
        run(settings(folder), [volume], RecordingProgress(cancel_at=0.5))


def test_options_are_followed_or_told(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", SMALL)
    plain = run(settings(folder), [volume])
    assert plain.record.warnings == ()
    progress = RecordingProgress()
    other = run(settings(folder, overlap=0.0), [volume], progress)
    assert sum(stage == "Running the network" for _, stage in progress.reports) == 2
    assert not np.array_equal(other.labelmap, plain.labelmap)
    told = run(settings(folder, mirror=True, postprocess=False), [volume])
    np.testing.assert_array_equal(told.labelmap, plain.labelmap)
    assert re.search("mirroring, so none was done", told.record.warnings[0])
    assert re.search("postprocessing was done, although", told.record.warnings[1])


def test_regions_of_overlapping_structures_have_values_of_their_own(tmp_path, volume):
    folder = write_bundle(tmp_path / "b", LAYERED)
    left, right = Region("ijk", (0, 8, 0, 14, 0, 12), "left"), Region("ijk", (8, 16, 0, 14, 0, 12), "right")
    both = run(settings(folder, regions=(left, right)), [volume])
    assert [row.name for row in both.structures[:6]] == ["Left a", "Left b", "Left c", "Right a", "Right b", "Right c"]
    parts = [run(settings(folder, regions=(replace(region, name=""),)), [volume]) for region in (left, right)]
    for side, part in zip(("Left", "Right"), parts, strict=True):
        assert part.labelmap.max() <= 7
        for letter in "abc":
            np.testing.assert_array_equal(both.mask(f"{side} {letter}"), part.mask(letter.upper()))
    assert both.labelmap.max() > 7
    assert len({row.value for row in both.structures}) == len(both.structures)


def test_too_many_regions_are_refused(tmp_path, volume):
    names = tuple(f"s{n}" for n in range(12))
    style = replace(changed(LAYERED, network_def={**NETWORK, "out_channels": 12}), outputs=names)
    folder = write_bundle(tmp_path / "b", style)
    regions = tuple(Region("ijk", (0, 8, 0, 14, 0, 12), f"part {n}") for n in range(17))
    with pytest.raises(SettingsError, match="17 named regions of b need more than 65535 label values; give fewer"):
        run(settings(folder, regions=regions), [volume])


@pytest.mark.parametrize("name", ["spleen"])
def test_the_same_input_gives_the_same_labelmap(tmp_path, volume, name):
    folder = write_bundle(tmp_path / "b", STYLES[name])
    first, second = (run(settings(folder), [volume]).labelmap for _ in range(2))
    np.testing.assert_array_equal(first, second)
