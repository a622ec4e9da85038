"""Freed memory is kept inside and given back on leaving."""

import platform
import subprocess
import sys

import pytest

from SlicerCNNSegLib.engine.heap import kept_memory

CHILD = """
import resource
import numpy as np
import psutil
from SlicerCNNSegLib.engine.heap import kept_memory

def faults_of_an_array():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    inside = [faults_of_an_array() for _ in range(3)]
    held = psutil.Process().memory_info().rss
given_back = held - psutil.Process().memory_info().rss
print(*inside, given_back, faults_of_an_array(), faults_of_an_array())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_is_asked_for_once_and_given_back():
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    first, *again, given_back, after, once_more = map(int, told.split())
    assert max(again) < 16 < min(first, after, once_more)  # 64 MiB are 32 pages even where pages are large
    assert given_back > 60 * 2**20


def test_nothing_is_done_with_another_library(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("asked for a library"))
    with kept_memory():
        pass
