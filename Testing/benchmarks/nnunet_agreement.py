"""Labels of an imported nnU-Net model against nnU-Net's own, with and without mirroring.

``predict`` is run by a Python that has nnunetv2, ``compare`` by one that has CNNSeg::

    NNUNET_PYTHON Testing/benchmarks/nnunet_agreement.py predict TRAINED IMAGES -o OUT --split SPLIT.json
    python Testing/benchmarks/nnunet_agreement.py compare TRAINED IMAGES -o OUT

TRAINED is the folder with ``plans.json``, ``dataset.json`` and folds, IMAGES that of the images, SPLIT.json names the
cases (``held_out``). OUT gets both sides' labelmaps and ``agreement.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

WAYS = {"plain": False, "mirrored": True}
ENDING = ".nii.gz"


def predict(trained: Path, images: list[Path], output: Path) -> None:
    """nnU-Net's labelmaps."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    for way, mirror in WAYS.items():
        predictor = nnUNetPredictor(
            use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(str(trained), None)
        folder = output / "nnunet" / way
        folder.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        predictor.predict_from_files_sequential(
            [[str(image)] for image in images], [str(folder / image.name.removesuffix(ENDING)) for image in images]
        )
        _add(output / "seconds.json", {f"nnunet {way}": time.perf_counter() - begin})


def compare(trained: Path, images: list[Path], output: Path) -> list[dict[str, object]]:
    """CNNSeg's labelmaps, and for each case the share of voxels that are equal and the Dice of what is labelled."""
    import numpy as np

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SlicerCNNSeg"))
    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.engine.nnunet.importing import Choice, import_trained
    from SlicerCNNSegLib.engine.progress import NoProgress
    from SlicerCNNSegLib.engine.run import run
    from SlicerCNNSegLib.engine.settings import SegmentationSettings

    model = output / "model"
    if not model.is_dir():
        import_trained([trained], model, Choice(), NoProgress())
    rows: list[dict[str, object]] = []
    for way, mirror in WAYS.items():
        settings = SegmentationSettings(model=str(model), device="cpu", mirror=mirror, force=True)
        begin = time.perf_counter()
        for image in images:
            own = run(settings, [read_volume(image)]).labelmap
            theirs = read_volume(output / "nnunet" / way / image.name).array[0]
            both = np.count_nonzero((own == theirs) & (own > 0))
            rows.append(
                {
                    "case": image.name.removesuffix(ENDING),
                    "way": way,
                    "voxels": own.size,
                    "different": int(np.count_nonzero(own != theirs)),
                    "equal": float(np.mean(own == theirs)),
                    "dice": 2 * both / max(1, np.count_nonzero(own) + np.count_nonzero(theirs)),
                }
            )
        _add(output / "seconds.json", {f"cnnseg {way}": time.perf_counter() - begin})
    return rows


def main() -> None:
    """Do one half; ``compare`` writes and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("action", choices=("predict", "compare"))
    parser.add_argument("trained", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="for 'predict'; 'compare' takes the cases that are there")
    options = parser.parse_args()
    if options.action == "predict":
        cases = json.loads(options.split.read_text(encoding="utf-8"))["held_out"]
        predict(options.trained, [options.images / f"{case}{ENDING}" for case in sorted(cases)], options.output)
        return
    names = sorted(path.name for path in (options.output / "nnunet" / "plain").glob(f"*{ENDING}"))
    rows = compare(options.trained, [options.images / name for name in names], options.output)
    (options.output / "agreement.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    for way in WAYS:
        mine = [row for row in rows if row["way"] == way]
        print(
            f"{way}: {len(mine)} cases, {sum(row['different'] for row in mine)} of "  # type: ignore[misc]
            f"{sum(row['voxels'] for row in mine)} voxels differ, "  # type: ignore[misc]
            f"worst case {min(row['equal'] for row in mine):.6f} equal, "  # type: ignore[type-var]
            f"Dice {min(row['dice'] for row in mine):.6f}"  # type: ignore[type-var]
        )
    print((options.output / "seconds.json").read_text(encoding="utf-8"))


def _add(path: Path, seconds: dict[str, float]) -> None:
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, **seconds}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
