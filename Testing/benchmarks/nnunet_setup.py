"""What nnU-Net wants before it trains: its folders, its raw data, its plans and preprocessed cases.

Used by ``nnunet_training.py``. Images are linked, not copied, and nnU-Net's own commands do the rest.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import SimpleITK

ENDING = ".nii.gz"
NUMBER = 1


class Workplace:
    """nnU-Net's three folders for one data set, inside one folder.

    Parameters
    ----------
    folder:
        Holds ``raw``, ``preprocessed`` and ``results``; several configurations may share it.
    name:
        The data set's name, of letters and digits.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder.resolve()
        self.dataset = f"Dataset{NUMBER:03d}_{name}"
        self.raw = self.folder / "raw" / self.dataset
        self.preprocessed = self.folder / "preprocessed" / self.dataset

    def announce(self) -> None:
        """Tell nnU-Net, which looks at the environment, where the folders are and how many processes to use."""
        for part in ("raw", "preprocessed", "results"):
            os.environ[f"nnUNet_{part}"] = str(self.folder / part)
        os.environ |= {"nnUNet_compile": "f", "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "2"}

    def image(self, case: str) -> Path:
        """The one channel of a case, under the name that nnU-Net wants."""
        return self.raw / "imagesTr" / f"{case}_0000{ENDING}"


def link_raw(workplace: Workplace, data: Path, cases: list[str]) -> None:
    """Link the cases into nnU-Net's raw folder and write its ``dataset.json``.

    Parameters
    ----------
    workplace:
        Where to.
    data:
        ``imagesTr`` and ``labelsTr`` with files of the same names; ``dataset.json`` in the Decathlon's form
        gives the names of channel and labels, else they are named by number.
    cases:
        Those to link.
    """
    (workplace.raw / "imagesTr").mkdir(parents=True, exist_ok=True)
    (workplace.raw / "labelsTr").mkdir(exist_ok=True)
    for case in cases:
        label = workplace.raw / "labelsTr" / f"{case}{ENDING}"
        for link, file in (
            (workplace.image(case), data / "imagesTr" / f"{case}{ENDING}"),
            (label, data / "labelsTr" / f"{case}{ENDING}"),
        ):
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve(strict=True))
    described = data / "dataset.json"
    description = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
    names = {int(value): name for value, name in description.get("labels", {}).items()}
    values = sorted(names) or _values(workplace.raw / "labelsTr")
    dataset = {
        "channel_names": description.get("modality", {"0": "MRI"}),
        "labels": {"background": 0} | {names.get(value, f"label {value}"): value for value in values if value},
        "numTraining": len(cases),
        "file_ending": ENDING,
    }
    (workplace.raw / "dataset.json").write_text(json.dumps(dataset, indent=2) + "\n", encoding="utf-8")


def _values(folder: Path) -> list[int]:
    """All values that occur in a folder's labels."""
    values: set[int] = set()
    for path in folder.iterdir():
        statistics = SimpleITK.LabelShapeStatisticsImageFilter()
        statistics.Execute(SimpleITK.ReadImage(path, SimpleITK.sitkUInt8))
        values |= set(statistics.GetLabels())
    return sorted(values)


def preprocess(workplace: Workplace, configuration: str, training: list[str], held_out: list[str]) -> None:
    """Plan and preprocess by nnU-Net's own command, and make the split its fold 0."""
    # The planner takes the number of augmentation processes for one of threads and wants at least one.
    environment = os.environ | {"nnUNet_n_proc_DA": "2"}
    command = Path(sys.executable).with_name("nnUNetv2_plan_and_preprocess")
    subprocess.run(
        [command, "-d", str(NUMBER), "-c", configuration, "-npfp", "2", "-np", "2", "--verify_dataset_integrity"],
        check=True,
        env=environment,
    )
    splits = [{"train": training, "val": held_out}]
    (workplace.preprocessed / "splits_final.json").write_text(json.dumps(splits, indent=2) + "\n", encoding="utf-8")
