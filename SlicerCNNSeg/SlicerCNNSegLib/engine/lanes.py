"""A batch's images side by side on a processor's cores, instead of each layer on all of them.

The layers of a small network are short, and all cores wait at the end of each. Parts of a batch that go through the
network by themselves meet once, at its end, and what is done with an earlier batch goes on beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache, partial
from threading import Barrier
from typing import Generic, TypeVar

import torch

Result = TypeVar("Result")


class UnderWay(Generic[Result]):
    """What ``work`` makes of each part of a batch; the caller may do something else meanwhile.

    Parameters
    ----------
    work:
        Takes part of the batch; called by several threads, without gradients. A context of the caller's, as of
        autocast, has to be entered in it.
    batch:
        Images along the first axis. On a CPU in parts as equal as can be, as many as PyTorch has threads; elsewhere in
        one part. A part that has nothing beside it is begun when its result is asked for.
    singly:
        On a CPU each image is a part.
    """

    def __init__(self, work: Callable[[torch.Tensor], Result], batch: torch.Tensor, *, singly: bool = False) -> None:
        def without_gradients(part: torch.Tensor) -> Result:
            with torch.inference_mode():
                return work(part)

        threads = torch.get_num_threads()
        parts = _parts(batch, len(batch) if singly else threads)
        lanes = min(len(parts), threads)
        self._late = [partial(without_gradients, part) for part in parts] if lanes < 2 else []
        self._begun = [_pool(lanes, threads).submit(without_gradients, part) for part in parts] if lanes > 1 else []

    def results(self) -> list[Result]:
        """In order, when all are there; raises what ``work`` raised."""
        wait(self._begun)
        return [part() for part in self._late] + [part.result() for part in self._begun]

    def drop(self) -> None:
        """Begin no more of it, and wait for what is computed: its memory is free then for who tries again."""
        wait([part for part in self._begun if not part.cancel()])


def _parts(batch: torch.Tensor, most: int) -> tuple[torch.Tensor, ...]:
    return batch.tensor_split(min(len(batch), most)) if batch.device.type == "cpu" else (batch,)


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
