"""104 structures of a CT, from file to file, against MONAI's way of running a whole-body bundle.

Run: ``OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python Testing/benchmarks/inference_whole_body.py``. The image is a
phantom of 512x512x400 voxels (0.7 x 0.7 x 1.25 mm) as NIfTI, the network a SegResNet at 1.5 mm as in MONAI's whole-body
bundle, with random weights; both sides have the same. Each runs in a process of its own, whose time and largest memory
the operating system tells. The peer makes its transforms and inferer as that bundle does (softmax, then ``Invertd`` of
the probabilities); ``--peer-size`` is that of a smaller image where its memory would not suffice for the whole one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from SlicerCNNSegLib.engine.cohort.outputs import RECORD_SUFFIX
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.weights import save_weights

LABELS = 104
SPACING_MM, IMAGE_MM = 1.5, (0.7, 0.7, 1.25)
NETWORK = {
    "_target_": "monai.networks.nets.SegResNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": LABELS + 1,
    "init_filters": 32,
    "blocks_down": [1, 2, 2, 4],
    "blocks_up": [1, 1, 1],
}
WINDOW, OVERLAP = (96, 96, 96), 0.25
RANGE_HU = {"a_min": -1000, "a_max": 1000, "b_min": 0, "b_max": 1, "clip": True}
OWN_PROCESS = "--as-monai"
RECORD = f"whole{RECORD_SUFFIX}"


def write_image(path: Path, size: tuple[int, int, int]) -> None:
    """A body of ellipsoids in air, in HU, with noise."""
    generator = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    image = np.full(size, -1000, np.int16)
    for hounsfield, scale in ((40, (0.9, 0.6, 0.98)), (-800, (0.6, 0.4, 0.5)), (300, (0.15, 0.15, 0.9))):
        a, b, c = scale
        inside = (x[:, None] / a) ** 2 + (y / b) ** 2 < 1 - (z[:, None, None] / c) ** 2
        image[inside.transpose(1, 2, 0)] = hounsfield
    for k in range(size[2]):
        image[..., k] += generator.normal(0, 15, size[:2]).astype(np.int16)
    nib.save(nib.Nifti1Image(image, np.diag([*IMAGE_MM, 1.0])), path)


def write_model(folder: Path) -> None:
    """A bundle of CNNSeg's form with random weights."""
    transforms = [
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [SPACING_MM] * 3, "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "keys": "image", **RANGE_HU},
    ]
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": WINDOW, "sw_batch_size": 1, "overlap": OVERLAP}
    labels = [
        {"value": n, "name": f"Structure {n}", "color": [n / LABELS, 0.5, 0.5], "type": ["SCT", "4147007", "Mass"]}
        for n in range(1, LABELS + 1)
    ]
    metadata = {
        "version": "0.0.1",
        "description": "Random weights, for a benchmark.",
        "data_source": "none",
        "intended_use": "benchmarks",
        "cnnseg": {
            "id": folder.name,
            "title": "Random",
            "task": "segmentation",
            "licence": "Apache-2.0",
            "channels": [{"name": "CT", "modality": "CT"}],
            "labels": labels,
        },
    }
    inference = {"network_def": NETWORK, "preprocessing": {"transforms": transforms}, "inferer": inferer}
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(inference), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.manual_seed(0)
    save_weights(build_network(NETWORK), folder / "models" / "model.safetensors")


def run_as_monai(image: str, weights: str, output: str) -> None:
    """As the bundle's ``evaluator``: transforms, inferer, softmax, ``Invertd``, argmax, file."""
    from monai import transforms as mt
    from monai.data import decollate_batch, list_data_collate
    from monai.inferers import SlidingWindowInferer

    from SlicerCNNSegLib.engine.weights import load_weights

    network = build_network(NETWORK).eval()
    load_weights(network, Path(weights))
    before = mt.Compose(
        [
            mt.LoadImaged("image"),
            mt.EnsureChannelFirstd("image"),
            mt.Orientationd("image", "RAS"),
            mt.Spacingd("image", [SPACING_MM] * 3, mode="bilinear"),
            mt.ScaleIntensityRanged("image", **RANGE_HU),
            mt.EnsureTyped("image"),
        ]
    )
    after = mt.Compose(
        [
            mt.Activationsd("pred", softmax=True),
            mt.Invertd("pred", before, orig_keys="image", nearest_interp=False, to_tensor=True),
            mt.AsDiscreted("pred", argmax=True),
            mt.SaveImaged("pred", output_dir=output, output_dtype=np.uint8, print_log=False, resample=False),
        ]
    )
    batch = list_data_collate([before({"image": image})])
    with torch.no_grad():
        batch["pred"] = SlidingWindowInferer(WINDOW, 1, OVERLAP, mode="gaussian")(batch["image"], network)
    for case in decollate_batch(batch):
        after(case)


def measured(name: str, command: list[str]) -> tuple[float, float]:
    """Run a command; prints and returns seconds by the clock and of processors."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    clock, processors = time.perf_counter() - begin, usage.ru_utime + usage.ru_stime
    if status:
        raise SystemExit(f"{name} failed with the status {os.waitstatus_to_exitcode(status)}")
    print(f"{name}: {clock:.0f} s, {processors:.0f} s of processors, {usage.ru_maxrss / 2**20:.2f} GiB", flush=True)
    return clock, processors


def ours(folder: Path, image: Path, output: str) -> list[str]:
    """The command line of CNNSeg."""
    command = [str(Path(sys.executable).with_name("cnnseg")), "segment", str(image), "-o", str(folder / output)]
    return [*command, "--model", str(folder / "whole-body"), "--format", "nii.gz", "--device", "cpu", "--quiet"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400), metavar=("I", "J", "K"))
    parser.add_argument("--peer-size", type=int, nargs=3, default=(256, 256, 200), metavar=("I", "J", "K"))
    parser.add_argument("--no-peer", action="store_true", help="the whole image alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder / "whole-body")
        whole, part = folder / "whole.nii.gz", folder / "part.nii.gz"
        if not options.no_peer:
            write_image(part, tuple(options.peer_size))
            own = measured("CNNSeg, peer's size", ours(folder, part, "part"))
            weights = folder / "whole-body" / "models" / "model.safetensors"
            arguments = [OWN_PROCESS, str(part), str(weights), str(folder / "monai")]
            peer = measured("MONAI", [sys.executable, __file__, *arguments])
            print(f"ratio: clock {peer[0] / own[0]:.2f}, processors {peer[1] / own[1]:.2f}")
        write_image(whole, tuple(options.size))
        clock, _ = measured("CNNSeg, whole", ours(folder, whole, "whole"))
        for stage, seconds in json.loads((folder / "whole" / RECORD).read_text(encoding="utf-8"))["seconds"].items():
            print(f"{stage}: {seconds:.1f} s, {seconds / clock:.0%} of the time from file to file")


if __name__ == "__main__":
    if sys.argv[1:2] == [OWN_PROCESS]:
        run_as_monai(*sys.argv[2:])
    else:
        main()
