"""A folder of cases, cold start included: ``cnnseg segment`` against one ``nnUNetv2_predict`` over the folder.

Run: ``OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python Testing/benchmarks/nnunet_folder.py TRAINED IMAGES -o OUT
--split SPLIT --predict nnUNetv2_predict_from_modelfolder``. TRAINED is a folder of nnU-Net's (``nnUNetTrainer__...``),
the cases are those that SPLIT holds out, ``--predict`` is the command of an environment that has nnunetv2: once with
``--disable_tta`` and once as it is by default, which mirrors. Each of our models runs ``--rounds`` times, the median by
the clock counts. Labelmaps stay in OUT, for ``cnnseg evaluate``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL], help="ours, by their names or folders")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    names = sorted(json.loads(options.split.read_text(encoding="utf-8"))["held_out"])[: options.cases]
    inputs = options.output / "images"
    inputs.mkdir(parents=True)
    for name in names:
        (inputs / f"{name}_0000{ENDING}").symlink_to((options.images / f"{name}{ENDING}").resolve())
    images = [options.images / f"{name}{ENDING}" for name in names]
    theirs = [options.predict, "-i", str(inputs), "-m", str(options.trained), "-f", "0", "-device", "cpu"]
    print(f"{len(names)} cases, {time.strftime('%Y-%m-%d')}")
    own = {
        model: in_rounds(images, options.output / Path(model).name, model, options.rounds) for model in options.models
    }
    os.environ |= {f"nnUNet_{part}": str(options.output) for part in ("raw", "preprocessed", "results")}
    for way, more in (("plain", ["--disable_tta"]), ("mirrored", [])):
        clock, processors = once([*theirs, "-o", str(options.output / way), *more])
        print(f"nnU-Net, {way}: {clock:.1f} s, {processors:.1f} s of processors", flush=True)
        for model, (own_clock, own_processors) in own.items():
            ratios = f"{clock / own_clock:.1f} by the clock, {processors / own_processors:.1f} of processors"
            print(f"ratio to {model}: {ratios}", flush=True)


def in_rounds(images: list[Path], out: Path, model: str, rounds: int) -> tuple[float, float]:
    """Seconds of the median round of ``cnnseg segment``, by the clock and of processors."""
    line = [str(Path(sys.executable).with_name("cnnseg")), "segment", *map(str, images), "--model", model]
    line += ["-o", str(out), "--format", "nii.gz", "--device", "cpu", "--quiet"]
    times = []
    for _ in range(rounds):
        shutil.rmtree(out, ignore_errors=True)  # cases that are there would be passed over
        times.append(once(line))
        print(f"{model}: {times[-1][0]:.1f} s by the clock, {times[-1][1]:.1f} s of processors", flush=True)
    return sorted(times)[rounds // 2]


if __name__ == "__main__":
    main()
