"""One side of ``inference_windows.py``: a network over a volume, as often as it is asked to.

Run by that script: ``python inference_side.py SIDE NETWORK PRECISION SIZE WINDOW BATCH``. SIDE is ``cnnseg``, ``monai``
(SlidingWindowInferer, Gaussian) or ``nnunet`` (nnU-Net's predictor without mirroring; its environment needs no CNNSeg).
For every line on standard input it makes the labels once, and answers by a line of JSON: seconds by the clock, of
processors, and of processors within the network. The end of the input is answered by the largest memory, and the labels
are saved to the file SIDE.npy.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

OVERLAP = 0.5
CLASSES = 2
DYNUNET_LEVELS = 6
DYNUNET_FILTERS = [32, 64, 128, 256, 320, 320]
"""nnU-Net's ``3d_fullres`` for windows of 128x128x128."""


def monai_network(name: str) -> torch.nn.Module:
    """A network of MONAI's with random weights.

    Its U-Net (16 to 256 channels, two residual units) with instance normalisation, which is its default, or with batch
    normalisation as the bundle ``spleen_ct_segmentation`` has it, SegResNet as the whole-body bundle has it, SwinUNETR
    of 24 features, or DynUNet in nnU-Net's shape.
    """
    from monai.networks.nets import DynUNet, SegResNet, SwinUNETR, UNet

    torch.manual_seed(0)
    if name == "unet":
        return UNet(3, 1, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    if name == "spleen":
        network = UNet(3, 1, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="batch")
        with torch.no_grad():
            network.train()(torch.randn(2, 1, 96, 96, 96))  # statistics to normalise by
        return network
    if name == "segresnet":
        return SegResNet(3, 32, 1, CLASSES, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1))
    if name == "swinunetr":
        return SwinUNETR(1, CLASSES, feature_size=24)
    strides = [1] + [2] * (DYNUNET_LEVELS - 1)
    return DynUNet(
        3, 1, CLASSES, [3] * DYNUNET_LEVELS, strides, strides[1:], filters=DYNUNET_FILTERS,
        norm_name=("instance", {"affine": True}),
    )  # fmt: skip


def nnunet_network() -> torch.nn.Module:
    """The same in nnU-Net's own classes."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    torch.manual_seed(0)
    return PlainConvUNet(
        1, DYNUNET_LEVELS, DYNUNET_FILTERS, torch.nn.Conv3d, 3, [1] + [2] * (DYNUNET_LEVELS - 1), 2, CLASSES, 2,
        conv_bias=True, norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True},
    )  # fmt: skip


def cnnseg_side(
    network: torch.nn.Module, precision: str, window: tuple[int, int, int], batch: int
) -> Callable[[torch.Tensor], np.ndarray]:
    """As ``engine/segment.py`` does it."""
    from SlicerCNNSegLib.engine.device import AUTOCAST
    from SlicerCNNSegLib.engine.heap import kept_memory
    from SlicerCNNSegLib.engine.progress import NoProgress
    from SlicerCNNSegLib.engine.windows import Inferer, most_probable, predict_planes
    from SlicerCNNSegLib.engine.windows.network import prepared

    inferer = Inferer(window, OVERLAP, batch)

    def labels(image: torch.Tensor) -> np.ndarray:
        with kept_memory():
            ready = prepared(network, AUTOCAST[precision])
            planes = predict_planes(
                image, [ready], inferer, NoProgress(), autocast=AUTOCAST[precision], probabilities=False
            )
            return most_probable(planes, planes.size)

    return labels


def monai_side(
    network: torch.nn.Module, window: tuple[int, int, int], batch: int
) -> Callable[[torch.Tensor], np.ndarray]:
    """MONAI's inferer in fp32, then the most probable class."""
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(window, batch, OVERLAP, mode="gaussian")
    return lambda image: inferer(image[None], network)[0].argmax(0).to(torch.uint8).numpy()


def nnunet_side(network: torch.nn.Module, window: tuple[int, int, int]) -> Callable[[torch.Tensor], np.ndarray]:
    """nnU-Net's predictor on a CPU, which computes in fp32."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=1 - OVERLAP, use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), allow_tqdm=False,
    )  # fmt: skip
    predictor.network = network
    predictor.configuration_manager = SimpleNamespace(patch_size=window)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=CLASSES)
    return lambda image: predictor.predict_sliding_window_return_logits(image).argmax(0).to(torch.uint8).numpy()


def timed(network: torch.nn.Module) -> list[float]:
    """Seconds of processors of each of its calls from now on, also of copies of it: minus its begin, plus its end.

    Of the calling thread, where it computes alone, as several may do so side by side.
    """
    moments: list[float] = []

    def now() -> float:
        return time.thread_time() if torch.get_num_threads() == 1 else time.process_time()

    network.register_forward_pre_hook(lambda *_: moments.append(-now()))
    network.register_forward_hook(lambda *_: moments.append(now()))
    return moments


def serve(side: str, network: torch.nn.Module, work: Callable[[torch.Tensor], np.ndarray], image: torch.Tensor) -> None:
    """Answer until the input ends; ``image`` is ``(channel, x, y, z)``, the work's result is saved as SIDE.npy."""
    within = timed(network)
    found = None
    with torch.inference_mode():
        for _ in sys.stdin:
            clock, processors, already = time.perf_counter(), time.process_time(), sum(within)
            found = work(image)
            times = {"clock": time.perf_counter() - clock, "processors": time.process_time() - processors}
            times["network"] = sum(within) - already
            print(json.dumps(times), flush=True)
    if found is not None:
        np.save(f"{side}.npy", found)
    print(json.dumps({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


def main() -> None:
    """Serve."""
    side, name, precision, *numbers = sys.argv[1:]
    size, edge, batch = map(int, numbers)
    window = (edge, edge, edge)
    network = (nnunet_network() if side == "nnunet" else monai_network(name)).eval().requires_grad_(False)
    image = torch.randn(1, size, size, size, generator=torch.Generator().manual_seed(0))
    if side == "cnnseg":
        labels_of = cnnseg_side(network, precision, window, batch)
    else:
        labels_of = nnunet_side(network, window) if side == "nnunet" else monai_side(network, window, batch)
    with torch.inference_mode():
        labels_of(image[:, :edge, :edge, :edge])  # the first call sets up
    serve(side, network, labels_of, image)


if __name__ == "__main__":
    main()
