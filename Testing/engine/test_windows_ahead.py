"""A batch of windows is under way while the one before it is added up: never more, and nothing is left behind."""

import threading
import time

import pytest
import torch

from SlicerCNNSegLib.engine.errors import Cancelled
from SlicerCNNSegLib.engine.progress import NoProgress, RecordingProgress
from SlicerCNNSegLib.engine.windows import Inferer, planes, predict_planes

BATCH, BATCHES = 2, 6
INFERER = Inferer((8, 8, 8), 0.0, BATCH)


class Counting(torch.nn.Module):
    """Two classes; counts the windows that were begun and those that are under way."""

    def __init__(self, fail_at: int = 10**6) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        self.begun, self.inside, self.most, self.fail_at, self.lock = 0, 0, 0, fail_at, threading.Lock()

    def __deepcopy__(self, memo):
        return self

    def forward(self, windows):
        with self.lock:
            self.begun += len(windows)
            self.most = max(self.most, len(windows))
            self.inside += 1
            failing = self.begun >= self.fail_at
        try:
            if failing:
                raise MemoryError
            time.sleep(0.05)
            return torch.cat([windows, -windows], dim=1)
        finally:
            with self.lock:
                self.inside -= 1


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def image():
    """Of six batches of windows in a row."""
    return torch.randn(1, 8 * BATCH * BATCHES, 8, 8, generator=torch.Generator().manual_seed(0))


def check_batches_begun(image, network, expected):
    """``expected`` are those when a window's first plane has come, for which the next window's scores are needed."""
    each = predict_planes(image, [network], INFERER, NoProgress(), probabilities=False).each
    for number, _ in enumerate(each):
        wanted, until = expected[number // 8], time.monotonic() + 10
        while network.begun < wanted * BATCH and time.monotonic() < until:  # what waits for nobody begins
            time.sleep(0.001)
        assert network.begun == wanted * BATCH


def test_one_batch_is_ahead(image):
    later = [min((window + 1) // BATCH + 2, BATCHES) for window in range(1, BATCH * BATCHES)]
    check_batches_begun(image, Counting(), [1, *later])  # at first it is not known how large scores are


def test_of_large_scores_only_one_batch_is_held(image, monkeypatch):
    monkeypatch.setattr(planes, "MOST_AHEAD", 0)
    expected = [min((window + 1) // BATCH + 1, BATCHES) for window in range(BATCH * BATCHES)]
    check_batches_begun(image, Counting(), expected)


def test_after_a_cancellation_nothing_is_computed(image):
    network, progress = Counting(), RecordingProgress(cancel_at=0.3)
    with pytest.raises(Cancelled):
        list(predict_planes(image, [network], INFERER, progress).each)
    assert network.inside == 0
    assert network.begun < BATCH * BATCHES


def test_after_an_error_nothing_is_computed(image):
    network = Counting(fail_at=5)
    with pytest.raises(MemoryError):
        list(predict_planes(image, [network], INFERER, NoProgress()).each)
    assert network.inside == 0


def test_who_stops_listening_leaves_nothing_behind(image):
    network = Counting()
    each = predict_planes(image, [network], INFERER, NoProgress(), probabilities=False).each
    next(each)
    each.close()
    assert network.inside == 0
    assert network.begun < BATCH * BATCHES


@pytest.mark.parametrize(
    ("autocast", "large", "at_once"),
    [(torch.bfloat16, 511, 1), (torch.bfloat16, 512, 2), (None, 511, 1), (None, 512, 2)],
)
def test_large_windows_go_singly(image, monkeypatch, autocast, large, at_once):
    monkeypatch.setattr(planes, "LARGE", large)
    network, inferer = Counting(), Inferer((8, 8, 8), 0.0, 2 * BATCH)
    list(predict_planes(image, [network], inferer, NoProgress(), autocast=autocast).each)
    assert network.most == at_once


@pytest.mark.parametrize(("large", "expected"), [(511, 2), (512, 4)])
def test_batches_of_large_windows_are_no_more_than_threads(image, monkeypatch, large, expected):
    monkeypatch.setattr(planes, "LARGE", large)
    network, progress = Counting(), RecordingProgress()
    inferer = Inferer((8, 8, 8), 0.0, 4)
    list(predict_planes(image, [network], inferer, progress).each)
    assert len(progress.reports) == BATCH * BATCHES / expected
