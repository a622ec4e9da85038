"""Names and shapes of nnU-Net's weights, from the networks that are registered here, and folders with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiny_nnunet import CASCADE, CASES, cascade_folder, dataset, write_trained

from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.nnunet.reading import Trained


def shapes(case: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """As nnU-Net stores them: layers a second time as ``all_modules``, the encoder also below the decoder."""
    trained = Trained(Path("trained"), case["plans"], dataset(case))
    configuration = next(iter(case["plans"]["configurations"]))
    network = build_network(trained.network(configuration, case.get("trainer", "nnUNetTrainer")))
    last = len(case["plans"]["configurations"][configuration]["architecture"]["arch_kwargs"]["strides"]) - 2
    found: dict[str, tuple[int, ...]] = {}
    for own, tensor in network.state_dict().items():
        name = own.replace("head.", f"decoder.seg_layers.{last}.")
        for number, layer in enumerate(("conv", "norm")):
            if name.count(f".{layer}."):
                found[name.replace(f".{layer}.", f".all_modules.{number}.")] = tuple(tensor.shape)
        found[name] = tuple(tensor.shape)
    found |= {f"decoder.{name}": shape for name, shape in found.items() if name.startswith("encoder.")}
    found |= {f"decoder.seg_layers.{n}.bias": (3,) for n in range(last)}
    return found


def write_case(folder: Path, name: str = "ct", kind: str = "final", **changed: Any) -> Path:
    """Write a case's trained model with checkpoints of a kind; ``changed`` are other values of the case."""
    return write_trained(folder, {**CASES[name], **changed}, shapes, kind)


def write_cascade(root: Path) -> Path:
    """Write both stages of the cascade as nnU-Net's results have them; gives the dataset's folder."""
    for stage, case in CASCADE.items():
        folder = write_trained(cascade_folder(root, stage), case, shapes)
    return folder.parent
