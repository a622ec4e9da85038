"""What travels as JSON comes back as it was, and nothing else comes back at all."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import worker_behaviours
from hypothesis import given
from hypothesis import strategies as st

from SlicerCNNSegLib.engine.classification.model import ClassLabel
from SlicerCNNSegLib.engine.classification.result import ClassificationResult, Explanation, Prediction
from SlicerCNNSegLib.engine.detection.result import DetectionResult
from SlicerCNNSegLib.engine.errors import SettingsError, WorkerError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import Finding
from SlicerCNNSegLib.engine.findings.lungs import Lungs
from SlicerCNNSegLib.engine.findings.segmenting import SegmentedNodule
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Geometry, Volume
from SlicerCNNSegLib.worker import interface
from SlicerCNNSegLib.worker.codec import CLASSES, SMALL_VOXELS, decoded, encoded


def there_and_back(value: Any) -> Any:
    arrays: list[np.ndarray] = []
    return decoded(json.loads(json.dumps(encoded(value, arrays))), arrays)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner)
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_values_come_back_equal_and_of_the_same_kind(value):
    back = there_and_back(value)
    assert back == value
    assert repr(back) == repr(value)


def test_sets_come_back_as_sets():
    value = {"values": frozenset({5, -3, 70})}
    assert there_and_back(value) == value
    assert isinstance(there_and_back(value)["values"], frozenset)


def test_settings_come_back_equal():
    settings = SegmentationSettings("m", (Region("ras", (-1 / 3, 1, 0, 1, 0, 1), "left"),), overlap=0.1, mirror=True)
    assert there_and_back(settings) == settings


def test_small_arrays_keep_every_bit_inside_the_json():
    for array in (
        np.array([[1 / 3, math.inf], [-0.0, math.nan]]),
        np.float32([1 / 3]),
        np.zeros((0, 3), np.uint8),
        np.array([True, False]),
        np.arange(SMALL_VOXELS, dtype=">i2"),
    ):
        back = there_and_back(array)
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()


def test_large_arrays_go_beside_it():
    arrays: list[np.ndarray] = []
    large = np.zeros(SMALL_VOXELS + 1)
    assert encoded((large, large[:1], large), arrays) == {
        "$tuple": [{"$array": 0}, {"$small": [0.0], "dtype": "<f8", "shape": [1]}, {"$array": 1}]
    }
    assert all(array is large for array in arrays)


def test_a_volume_comes_back_with_all_that_is_known_of_it():
    volume = Volume(
        np.arange(200.0).reshape(2, 1, 10, 10), np.diag([-1, 1, 2, 1]), ("T1", "T2"), "MR", "a", {"uid": "1.2"}, ("n",)
    )
    back = there_and_back(volume)
    for field in dataclasses.fields(Volume):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(volume, field.name))


def test_a_classification_comes_back_with_its_heat_map():
    record = RunRecord("classification", "m", "1", "0", {"regions": ["a"]}, "cpu", "fp32", {}, (), {}, (), "now")
    heat = np.random.default_rng(0).random((5, 6, 7), np.float32)
    result = ClassificationResult(
        (ClassLabel("benign"), ClassLabel("malignant")),
        (Prediction("left", (0, 0, 0), (7, 6, 5), (1 / 3, 2 / 3), (0.1, 0.2)),),
        Geometry((5, 6, 7), np.eye(4)),
        record,
        Explanation("gradcam", "layer4", ("malignant",), heat, 0.1, True),
    )
    back = there_and_back(result)
    assert back.predictions == result.predictions
    assert back.classes == result.classes
    assert back.record == record
    np.testing.assert_array_equal(back.explanation.heat, heat)
    assert back.rows() == result.rows()


def test_a_detection_comes_back_with_its_lungs_and_nodules():
    random, geometry = np.random.default_rng(0), Geometry((5, 6, 7), np.eye(4))
    record = RunRecord("detection", "m", "1", "0", {}, "cpu", "fp32", {}, (), {}, (), "now")
    finding = Finding("n-1", OrientedBox((1 / 3, 2, 3), (4, 5, 6)), 0.9, {"nodule": 0.9}, location="left, upper third")
    parts = [random.random(geometry.shape_kji) for _ in range(4)]
    result = DetectionResult(
        candidates=(finding,),
        threshold=0.5,
        labelmap=random.integers(0, 2, geometry.shape_kji).astype(np.uint8),
        geometry=geometry,
        label=Label(1, "Nodule", (1.0, 0.0, 0.0)),
        record=record,
        lungs=Lungs(random.integers(0, 3, geometry.shape_kji).astype(np.uint8), geometry, ("cut off",), frozenset({2})),
        nodules={"n-1": SegmentedNodule("solid", *parts, geometry)},
    )
    back = there_and_back(result)
    assert back.candidates == result.candidates
    assert back.finding_labels == result.finding_labels
    assert (back.lungs.warnings, back.lungs.cut) == (("cut off",), frozenset({2}))
    np.testing.assert_array_equal(back.lungs.sides, result.lungs.sides)
    np.testing.assert_array_equal(back.labelmap, result.labelmap)
    np.testing.assert_array_equal(back.nodules["n-1"].share, parts[2])


def test_counted_structures_travel_and_are_not_counted_again(monkeypatch):
    volume = Volume(np.random.default_rng(0).normal(size=(1, 5, 6, 7)), np.eye(4))
    result = worker_behaviours.answer(SegmentationSettings("m"), [volume])
    assert [row.voxels for row in result.structures] == [210, *np.bincount(result.labelmap.ravel())[1:]]
    monkeypatch.setattr(SegmentationResult, "_count", lambda self: pytest.fail("counted again"))
    assert there_and_back(result).structures == result.structures


HEAVY = {"Lungs": Lungs, "SegmentedNodule": SegmentedNodule}
"""What light modules name in their types without importing it."""


def reachable(kind: Any) -> Iterator[type]:
    """The dataclasses that values of a type hold."""
    for part in get_args(kind):
        yield from reachable(part)
    if dataclasses.is_dataclass(kind):
        yield kind
        for field, hint in get_type_hints(kind, localns=HEAVY).items():
            if field in {one.name for one in dataclasses.fields(kind)}:
                yield from reachable(hint)


def test_the_worker_takes_and_gives_what_the_front_door_does():
    hints = get_type_hints(run)
    assert set(get_args(hints["settings"])) == set(get_args(interface.Settings))
    assert set(get_args(hints["return"])) == set(get_args(interface.Result))


def test_everything_that_goes_in_or_comes_out_of_a_run_travels():
    needed = {cls.__name__ for kind in (interface.Settings, interface.Result, Volume) for cls in reachable(kind)}
    assert set(CLASSES) == needed


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {"$class": 1}, interface.Progressed(0, ""), np.array([object()])]
)
def test_what_does_not_travel_is_refused_here(value):
    with pytest.raises(TypeError, match="does not travel between worker and client"):
        encoded(value, [])


@pytest.mark.parametrize(
    "tree",
    [
        {"$class": "Popen", "fields": {}},
        {"$class": "RunRecord", "fields": {"nothing": 1}},
        {"$class": "SegmentationResult", "fields": {"__class__": 1}},
        {"$array": 3},
        {"$array": -1},
        {"$small": [1], "dtype": "O", "shape": [1]},
        {"$python": "os.system"},
    ],
)
def test_what_does_not_travel_is_refused_there(tree):
    with pytest.raises(WorkerError, match="Expected something that travels between worker and client, got"):
        decoded(tree, [np.zeros(1)])


def test_constructors_check_what_comes():
    with pytest.raises(SettingsError, match="Expected a device"):
        decoded({"$class": "SegmentationSettings", "fields": {"device": "toaster"}}, [])
