"""A batch's images side by side on a processor's cores, instead of each layer on all of them.

The layers of a small network are short, and all cores wait at the end of each. Parts of a batch that go through the
network by themselves meet once, at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

Result = TypeVar("Result")


def in_lanes(work: Callable[[torch.Tensor], Result], batch: torch.Tensor) -> list[Result]:
    """What ``work`` makes of each part of a batch, in order.

    Parameters
    ----------
    work:
        Takes part of the batch; called by several threads, without gradients. A context of the caller's, as of
        autocast, has to be entered in it.
    batch:
        Images along the first axis. In parts as equal as can be, as many as PyTorch has threads; in one part off the
        CPU.
    """

    def without_gradients(part: torch.Tensor) -> Result:
        with torch.inference_mode():
            return work(part)

    threads = torch.get_num_threads()
    lanes = min(len(batch), threads) if batch.device.type == "cpu" else 1
    if lanes < 2:
        return [without_gradients(batch)]
    return list(_pool(lanes, threads).map(without_gradients, batch.tensor_split(lanes)))


@lru_cache(maxsize=4)
def _pool(lanes: int, threads: int) -> ThreadPoolExecutor:
    """Threads that share PyTorch's: setting their number also sets that of threads to come, hence back again."""
    pool = ThreadPoolExecutor(lanes, "lane")
    all_begun = Barrier(lanes)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first call of PyTorch takes the common number, also over one set before it
        torch.set_num_threads(max(1, threads // lanes))
        all_begun.wait()

    for begun in [pool.submit(begin) for _ in range(lanes)]:
        begun.result()
    torch.set_num_threads(threads)
    return pool
