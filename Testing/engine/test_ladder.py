"""The memory ladder: what it tries, what it tells, when it gives up."""

import pytest
import torch

from SlicerCNNSegLib.engine.errors import OutOfMemoryError
from SlicerCNNSegLib.engine.ladder import climb_down, is_out_of_memory, rungs

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_rungs_go_from_fast_to_small():
    steps = [(rung.device, rung.batch, rung.stitch_device) for rung in rungs(CUDA, 4)]
    assert steps == [(CUDA, 4, CUDA), (CUDA, 1, CUDA), (CUDA, 1, CPU), (CPU, 1, CPU)]
    assert [(rung.device, rung.batch) for rung in rungs(CPU, 4)] == [(CPU, 4), (CPU, 1)]


def test_the_first_rung_that_fits_is_used_and_the_failures_are_told():
    tried = []

    def work(rung):
        tried.append(rung)
        if len(tried) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return "done"

    result, rung, warnings = climb_down(work, CUDA, 4)
    assert (result, rung.stitch_device, len(warnings)) == ("done", CPU, 2)
    assert warnings[0] == "Memory ran out with 4 window(s) at once on cuda, stitched on cuda."


def test_the_last_failure_says_what_to_do():
    def work(rung):
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match=r"Restrict the run to a region"):
        climb_down(work, CPU, 2)


def test_other_errors_pass_through_at_once():
    tried = []

    def work(rung):
        tried.append(rung)
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match=r"size mismatch"):
        climb_down(work, CUDA, 4)
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("expected scalar type Float"), False),
    ],
)
def test_memory_errors_are_told_from_others(error, expected):
    assert is_out_of_memory(error) is expected
