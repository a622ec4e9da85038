"""Labels of an imported nnU-Net model against nnU-Net's own, with and without mirroring.

``predict`` is run by a Python that has nnunetv2, ``compare`` by one that has CNNSeg::

    NNUNET_PYTHON Testing/benchmarks/nnunet_agreement.py predict TRAINED IMAGES -o OUT --split SPLIT.json
    python Testing/benchmarks/nnunet_agreement.py compare TRAINED IMAGES -o OUT --split SPLIT.json

TRAINED is the folder with ``plans.json``, ``dataset.json`` and folds, IMAGES that of the images, SPLIT.json names the
cases (``held_out``). OUT gets nnU-Net's labelmaps, the imported model, and for each case how well they agree.
"""

from __future__ import annotations

import argparse
import json
import sys
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
        predictor.predict_from_files_sequential(
            [[str(image)] for image in images], [str(folder / image.name.removesuffix(ENDING)) for image in images]
        )


def compare(trained: Path, images: list[Path], output: Path, share: tuple[int, int]) -> None:
    """CNNSeg's labelmaps; writes how well each agrees with nnU-Net's. Cases that are there already are left out."""
    import numpy as np

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SlicerCNNSeg"))
    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.engine.nnunet.importing import import_trained
    from SlicerCNNSegLib.engine.nnunet.reading import Choice
    from SlicerCNNSegLib.engine.progress import NoProgress
    from SlicerCNNSegLib.engine.run import run
    from SlicerCNNSegLib.engine.settings import SegmentationSettings

    model = output / "model"
    if not model.is_dir():
        import_trained([trained], model, Choice(), NoProgress())
    work = [(way, image) for way in WAYS for image in images]
    for way, image in work[share[0] :: share[1]]:
        place = output / "agreement" / way / f"{image.name.removesuffix(ENDING)}.json"
        if place.is_file():
            continue
        settings = SegmentationSettings(model=str(model), device="cpu", mirror=WAYS[way], force=True)
        own = run(settings, [read_volume(image)]).labelmap
        theirs = read_volume(output / "nnunet" / way / image.name).array[0]
        same = own == theirs
        labelled = np.count_nonzero(own) + np.count_nonzero(theirs)
        row = {
            "voxels": own.size,
            "different": int(np.count_nonzero(~same)),
            "equal": float(np.mean(same)),
            "dice": 2 * int(np.count_nonzero(same & (own > 0))) / max(1, labelled),
        }
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


def summary(output: Path) -> str:
    """All cases that were compared, in a line for each way."""
    lines = []
    for way in WAYS:
        files = sorted((output / "agreement" / way).glob("*.json"))
        rows = [json.loads(path.read_text(encoding="utf-8")) for path in files]
        if rows:
            lines.append(
                f"{way}: {len(rows)} cases, {sum(row['different'] for row in rows)} of "
                f"{sum(row['voxels'] for row in rows)} voxels differ; worst case: "
                f"{min(row['equal'] for row in rows):.6f} equal, "
                f"Dice of what is labelled {min(row['dice'] for row in rows):.6f}"
            )
    return "\n".join(lines)


def main() -> None:
    """Do one half; ``compare`` prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("action", choices=("predict", "compare"))
    parser.add_argument("trained", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--share", default="0/1", metavar="N/M", help="every Mth case from the Nth on, for 'compare'")
    options = parser.parse_args()
    cases = json.loads(options.split.read_text(encoding="utf-8"))["held_out"]
    images = [options.images / f"{case}{ENDING}" for case in sorted(cases)]
    if options.action == "predict":
        predict(options.trained, images, options.output)
        return
    first, step = (int(number) for number in options.share.split("/"))
    compare(options.trained, images, options.output, (first, step))
    print(summary(options.output))


if __name__ == "__main__":
    main()
