"""Write ``expected.npz``: what nnU-Net itself makes of the tiny models; run by a Python that has nnunetv2.

::

    NNUNET_PYTHON Testing/engine/nnunet/make_expected.py

For each case of ``Testing/tiny_nnunet.py``: the prepared image (every second voxel along each axis), and the labelmaps
without and with mirroring, as the file has them (k, j, i).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tiny_nnunet import CASCADE, CASES, FIRST, SECOND, cascade_folder, dataset, heads, images, write_trained


def shapes(case: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of nnU-Net's own network."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(case["plans"])
    configuration = manager.get_configuration(next(iter(case["plans"]["configurations"])))
    channels = determine_num_input_channels(manager, configuration, dataset(case))
    network = nnUNetTrainer.build_network_architecture(manager, configuration, channels, heads(case), False)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def predictor_of(trained: Path, *, mirror: bool) -> Any:
    """nnU-Net's own."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(trained), None)
    return predictor


def predicted(trained: Path, files: list[str], *, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """nnU-Net's prepared image and labelmap."""
    predictor = predictor_of(trained, mirror=mirror)
    configuration = predictor.configuration_manager
    prepared, _, _ = configuration.preprocessor_class(verbose=False).run_case(
        files, None, predictor.plans_manager, configuration, predictor.dataset_json
    )
    output = trained / "prediction"
    predictor.predict_from_files_sequential([files], [str(output)])
    return prepared, sitk.GetArrayFromImage(sitk.ReadImage(f"{output}.nii.gz"))


def cascaded() -> dict[str, np.ndarray]:
    """The labelmaps of both stages of the cascade, without and with mirroring."""
    found: dict[str, np.ndarray] = {}
    for way, mirror in (("plain", False), ("mirrored", True)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (image,) = images(CASCADE[FIRST])
            sitk.WriteImage(image, f"{name}/case_0000.nii.gz")
            before = None
            for stage in (FIRST, SECOND):
                trained = write_trained(cascade_folder(folder, stage), CASCADE[stage], shapes)
                predictor = predictor_of(trained, mirror=mirror)
                output = folder / stage
                output.mkdir()
                files = [[f"{name}/case_0000.nii.gz"]]
                predictor.predict_from_files_sequential(
                    files, [str(output / "case")], folder_with_segs_from_prev_stage=before
                )
                before = str(output)
                labels = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "case.nii.gz")))
                found[f"{stage} {way}"] = labels.astype(np.uint8)
    return found


def main() -> None:
    """Make them all."""
    found: dict[str, np.ndarray] = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            trained = write_trained(Path(folder) / "trained", case, shapes)
            files = [f"{folder}/case_{number:04d}.nii.gz" for number in range(len(images(case)))]
            for file, image in zip(files, images(case), strict=True):
                sitk.WriteImage(image, file)
            for way, mirror in (("plain", False), ("mirrored", True)):
                prepared, labels = predicted(trained, files, mirror=mirror)
                found[f"{name} {way}"] = labels.astype(np.uint8)
            found[f"{name} prepared"] = prepared[:, ::2, ::2, ::2]
            found[f"{name} size"] = np.array(prepared.shape)
    found |= cascaded()
    np.savez_compressed(Path(__file__).with_name("expected.npz"), **found)


if __name__ == "__main__":
    main()
