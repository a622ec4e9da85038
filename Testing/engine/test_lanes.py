"""Parts of a batch side by side: the same answers in the same order, and PyTorch's threads left as they were."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest
import torch

from SlicerCNNSegLib.engine.errors import OutOfMemoryError
from SlicerCNNSegLib.engine.lanes import UnderWay


def in_lanes(work, batch):
    return UnderWay(work, batch).results()


@pytest.fixture
def threads_of_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 2, 5])
def threads(request, threads_of_before):
    torch.set_num_threads(request.param)
    return request.param


@pytest.mark.parametrize("images", [1, 2, 3, 7])
def test_parts_come_in_order_and_no_more_than_there_are_threads(threads, images):
    batch = torch.arange(images, dtype=torch.float32)[:, None].expand(-1, 4)
    found = in_lanes(lambda part: 2 * part, batch)
    assert len(found) == min(images, threads)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert torch.equal(torch.cat(found), 2 * batch)


@pytest.mark.parametrize(("count", "each"), [(2, 1), (7, 3)])
def test_the_parts_share_the_threads_and_others_keep_theirs(threads_of_before, count, each):
    torch.set_num_threads(count)
    for _ in range(2):  # also when the parts' threads are there already
        assert in_lanes(lambda part: torch.get_num_threads(), torch.zeros(2, 1)) == [each, each]
        assert torch.get_num_threads() == count
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == count


def test_images_may_be_parts_of_their_own(threads):
    found = UnderWay(lambda part: part, torch.arange(3.0)[:, None], singly=True).results()
    assert [part.tolist() for part in found] == [[[0.0]], [[1.0]], [[2.0]]]


def test_a_convolution_gives_the_same(threads):
    layer, batch = torch.nn.Conv3d(2, 8, 3, padding=1), torch.randn(4, 2, 9, 10, 11)
    found = torch.cat(in_lanes(layer, batch))
    torch.testing.assert_close(found, layer(batch).detach(), atol=1e-6, rtol=1e-6)
    assert not found.requires_grad


def test_an_error_of_a_part_is_raised(threads):
    def work(part):
        if part[-1, 0] == 3:
            raise OutOfMemoryError("memory")
        return part

    with pytest.raises(OutOfMemoryError):
        in_lanes(work, torch.arange(4.0)[:, None])


def test_what_is_dropped_begins_no_more_and_leaves_nothing_behind(threads_of_before):
    torch.set_num_threads(2)
    begun, ended, go_on = [], [], Event()

    def work(part):
        begun.append(part)
        go_on.wait(10)
        ended.append(part)

    under_way = UnderWay(work, torch.zeros(6, 1), singly=True)
    while len(begun) < 2:
        time.sleep(0.001)
    Timer(0.1, go_on.set).start()
    under_way.drop()
    assert (len(begun), len(ended)) == (2, 2)
