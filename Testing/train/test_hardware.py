"""Device, precision, and batches on their way."""

import itertools

import pytest
import torch

from SlicerCNNSegLib.engine.errors import DeviceError
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware

CPU = torch.device("cpu")


class Counting:
    """A task whose batches hold their step."""

    metric = "none"

    def batch(self, step):
        return {"image": torch.full((2, 1), float(step))}


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_of_their_steps(monkeypatch, workers):
    monkeypatch.setattr(Hardware, "workers", workers)
    batches = Hardware(CPU, "fp32").batches(Counting(), 3)
    assert [float(batch["image"][0]) for batch in itertools.islice(batches, 4)] == [3, 4, 5, 6]


def test_a_gpu_gets_processes_that_make_batches():
    assert Hardware(CPU, "fp32").workers == 0
    assert Hardware(torch.device("cuda"), "bf16").workers >= 1


def test_precision_decides_autocast_and_scaling():
    weight, image = torch.nn.Linear(4, 4), torch.ones(1, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Hardware(CPU, precision).autocast():
            assert weight(image).dtype == dtype
    assert Hardware(CPU, "fp16").scaler().is_enabled()
    assert not Hardware(CPU, "bf16").scaler().is_enabled()


def test_half_precision_takes_channels_last():
    network = torch.nn.Conv3d(2, 4, 3)
    assert Hardware(CPU, "fp32").place(network, flat=False).weight.is_contiguous()
    placed = Hardware(CPU, "bf16").place(network, flat=False)
    assert placed.weight.is_contiguous(memory_format=torch.channels_last_3d)
    flat = Hardware(CPU, "bf16").place(torch.nn.Conv2d(2, 4, 3), flat=True)
    assert flat.weight.is_contiguous(memory_format=torch.channels_last)


def test_what_the_device_lacks_is_told():
    assert Hardware.choose("cpu", "fp32") == Hardware(CPU, "fp32")
    with pytest.raises(DeviceError, match=r"The CPU has no fp16 kernels"):
        Hardware.choose("cpu", "fp16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_batch_lands_on_the_gpu():
    batch = next(Hardware(torch.device("cuda"), "bf16").batches(Counting(), 0))
    assert batch["image"].device.type == "cuda"
