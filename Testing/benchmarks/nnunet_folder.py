"""A folder of cases, cold start included: ``cnnseg segment`` against one ``nnUNetv2_predict`` over the folder.

Run: ``OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python Testing/benchmarks/nnunet_folder.py TRAINED IMAGES -o OUT
--split SPLIT --predict nnUNetv2_predict_from_modelfolder``. TRAINED is a folder of nnU-Net's (``nnUNetTrainer__...``),
the cases are those that SPLIT holds out, ``--predict`` is the command of an environment that has nnunetv2: once with
``--disable_tta`` and once as it is by default, which mirrors. Labelmaps stay in OUT, for ``cnnseg evaluate``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from inference_start import once

from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL

ENDING = ".nii.gz"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--predict", required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    names = sorted(json.loads(options.split.read_text(encoding="utf-8"))["held_out"])[: options.cases]
    inputs = options.output / "images"
    inputs.mkdir(parents=True)
    for name in names:
        (inputs / f"{name}_0000{ENDING}").symlink_to((options.images / f"{name}{ENDING}").resolve())
    ours = [str(Path(sys.executable).with_name("cnnseg")), "segment"]
    ours += [str(options.images / f"{name}{ENDING}") for name in names]
    ours += ["-o", str(options.output / "cnnseg"), "--format", "nii.gz", "--device", "cpu", "--quiet"]
    ours += ["--model", options.model]
    theirs = [options.predict, "-i", str(inputs), "-m", str(options.trained), "-f", "0", "-device", "cpu"]
    print(f"{len(names)} cases, {time.strftime('%Y-%m-%d')}")
    own = once(ours)
    print(f"cnnseg: {own[0]:.1f} s by the clock, {own[1]:.1f} s of processors", flush=True)
    os.environ |= {f"nnUNet_{part}": str(options.output) for part in ("raw", "preprocessed", "results")}
    for way, more in (("plain", ["--disable_tta"]), ("mirrored", [])):
        peer = once([*theirs, "-o", str(options.output / way), *more])
        ratios = f"ratio {peer[0] / own[0]:.1f} by the clock, {peer[1] / own[1]:.1f} of processors"
        print(f"nnU-Net, {way}: {peer[0]:.1f} s, {peer[1]:.1f} s of processors; {ratios}", flush=True)


if __name__ == "__main__":
    main()
