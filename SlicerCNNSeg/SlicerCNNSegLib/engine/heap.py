"""Memory that a run frees and needs again at once, kept in the process."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's ``mallopt``."""
INSIDE = {MMAP_MAX: 0, TRIM_THRESHOLD: -1, TOP_PAD: 64 * 2**20}
"""No block is mapped by itself and nothing is given back. The pad is for PyTorch's aligned blocks: glibc asks for a few
bytes more than the last one left, and would take new memory for each of them."""
OUTSIDE = {MMAP_MAX: 65536, TRIM_THRESHOLD: 128 * 1024, TOP_PAD: 128 * 1024}
"""glibc's own."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, large blocks that are freed stay in the process; on leaving they go back to the system.

    By default glibc asks the system for every large block anew, which then zeroes each page of it: a quarter of
    the time of a small network on a CPU. Does nothing with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    for parameter, value in INSIDE.items():
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in OUTSIDE.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)
