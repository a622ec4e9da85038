"""An exported model run by MONAI alone, as its own configuration says."""

from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser


def under_monai(model: Path, images: Path) -> tuple[np.ndarray, torch.nn.Module]:
    """Labels ``(k, j, i)`` of the first image in a folder, and the network."""
    parser = ConfigParser()
    parser.read_config(str(model / "configs" / "inference.json"))
    parser["bundle_root"], parser["dataset_dir"] = str(model), str(images)
    parser.get_parsed_content("initialize")
    network, inferer = parser.get_parsed_content("network").eval(), parser.get_parsed_content("inferer")
    data = parser.get_parsed_content("preprocessing")(parser.get_parsed_content("datalist")[0])
    with torch.inference_mode():
        data["pred"] = inferer(data["image"][None], network)[0]
    for transform in parser.get_parsed_content("postprocessing").transforms:
        if type(transform).__name__ != "SaveImaged":
            data = transform(data)
    return np.asarray(data["pred"])[0].transpose(2, 1, 0), network
