"""Device and precision choice."""

import pytest
import torch

from SlicerCNNSegLib.engine import device as device_module
from SlicerCNNSegLib.engine.device import choose_device, choose_precision, self_test
from SlicerCNNSegLib.engine.errors import DeviceError


def test_the_cpu_passes_its_self_test():
    assert self_test("cpu") == ""


def test_a_device_that_computes_wrongly_fails_its_self_test(monkeypatch):
    real, calls = torch.nn.functional.conv3d, []

    def wrong_the_second_time(*arguments, **more):
        calls.append(arguments)
        return real(*arguments, **more) + (0.5 if len(calls) == 2 else 0.0)

    monkeypatch.setattr(torch.nn.functional, "conv3d", wrong_the_second_time)
    assert self_test.__wrapped__("cpu") == "a convolution is wrong by 0.5"


def test_auto_falls_back_to_the_cpu_and_says_why(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(device_module, "self_test", lambda name: "no kernel image" if name == "cuda" else "")
    device, warnings = choose_device("auto")
    assert device.type == "cpu"
    assert warnings == ["The device cuda failed its self-test (no kernel image); the run went on elsewhere."]


def test_auto_takes_the_accelerator_that_works(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_module, "self_test", lambda name: "")
    assert choose_device("auto")[0].type == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_absent_is_refused():
    with pytest.raises(DeviceError, match=r"The device cuda does not work: .+; use --device auto or cpu"):
        choose_device("cuda")


def test_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert choose_precision("auto", cpu) == "bf16"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("auto", cpu) == "fp32"
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    assert choose_precision("fp32", torch.device("cuda")) == "fp32"


def test_fp16_on_the_cpu_is_refused():
    with pytest.raises(DeviceError, match=r"no fp16 kernels; use --precision bf16 or fp32"):
        choose_precision("fp16", torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_passes_its_self_test():
    assert self_test("cuda") == ""
