"""Why a network decides as it does: heat maps by MONAI, and whether they show what was learned (heavy).

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), Grad-CAM++ (Chattopadhyay et al. 2018,
arXiv:1710.11063), occlusion sensitivity (Zeiler and Fergus 2014, arXiv:1311.2901), what a layer answers to
whatever the class (features), and the parameter randomisation test of Adebayo et al. 2018 (arXiv:1810.03292).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from monai.visualize import GradCAM, GradCAMpp, OcclusionSensitivity
from scipy.stats import spearmanr
from torch.nn.functional import interpolate

from ..errors import ModelError, SettingsError
from ..networks import build_network, facts_of
from ..progress import Progress, SubProgress, advance
from ..wording import listed
from .model import ClassificationModel
from .scores import Scores

CAMS = {"gradcam": GradCAM, "gradcam++": GradCAMpp}
FEATURES = "features"

MASKS_ALONG = 7
"""The occluded box is this part of each side, about the size of one place of a ResNet's last features."""

OCCLUDED_AT_ONCE = 8

RANDOM_NETWORKS = 5
"""Networks with random weights that a map is compared with: one alone may be similar by chance."""

SIMILAR = 0.3
"""Mean rank correlation with their maps from which on a map is said not to show what was learned."""

LISTED_LAYERS = 120


@dataclass(frozen=True)
class Explainer:
    """Makes heat maps of a model's networks.

    Parameters
    ----------
    model:
        The classifier.
    method:
        ``gradcam``, ``gradcam++``, ``features`` or ``occlusion``.
    layer:
        That is looked at; "" for occlusion.
    """

    model: ClassificationModel
    method: str
    layer: str

    @classmethod
    def of(cls, model: ClassificationModel, method: str, layer: str = "") -> Explainer:
        """With the layer asked for, or the network's last features.

        Raises
        ------
        SettingsError
            There is no such layer, or nobody said which one holds the network's last features.
        """
        if method not in (*CAMS, FEATURES):
            return cls(model, method, "")
        definition = model.package.inference["network_def"]
        found = layer or facts_of(definition).last_features
        names = [name for name, _ in build_network(definition).named_modules() if name]
        if found not in names:
            what = f"has no layer {found!r}" if found else "is not one whose last features are known"
            raise SettingsError(
                f"The network of {model.package.id} {what}; choose one with --layer, for example "
                f"{listed(names[::-1], LISTED_LAYERS)}, or explain by occlusion."
            )
        return cls(model, method, found)

    def heat(self, networks: list[Scores], image: torch.Tensor, index: int, progress: Progress) -> torch.Tensor:
        """Where an image speaks for a class, mean over networks.

        Parameters
        ----------
        networks:
            On the device to compute on.
        image:
            ``(channel, x, y[, z])``.
        index:
            Of the class.

        Returns
        -------
        torch.Tensor
            ``(x, y[, z])`` on the CPU, from 0 to 1, all 0 where nothing speaks for the class.
        """
        maps = []
        for number, network in enumerate(networks):
            advance(progress, number / len(networks), "Explaining")
            maps.append(self._one(network, image, index))
        return torch.stack(maps).mean(0)

    def similarity(
        self, heat: torch.Tensor, image: torch.Tensor, index: int, device: torch.device, progress: Progress
    ) -> float:
        """Mean absolute rank correlation (Spearman) of a map with those of networks with random weights.

        A map without any heat, or a random one, counts as not similar: 0.
        """
        values = []
        for seed in range(RANDOM_NETWORKS):
            advance(progress, seed / RANDOM_NETWORKS, "Checking the explanation")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = build_network(self.model.package.inference["network_def"])
            random = Scores(network.eval().to(device), self.model)
            values.append(rank_similarity(heat, self._one(random, image, index)))
        return float(np.mean(values))

    def _one(self, network: Scores, image: torch.Tensor, index: int) -> torch.Tensor:
        """One network's map; a copy of it is hooked into, so that the network itself stays as it is."""
        copy = deepcopy(network).eval().requires_grad_(True)
        batch = image[None].to(next(copy.parameters()).device).requires_grad_(self.method in CAMS)
        if not self.layer:
            return _scaled(self._loss_of_probability(copy, batch, index))
        try:
            if self.method == FEATURES:
                return _scaled(self._strength(copy, batch))
            cam = CAMS[self.method](copy, f"network.{self.layer}", postprocessing=_unchanged)
            return _scaled(cam(batch, class_idx=index)[0, 0])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ModelError(
                f"The layer {self.layer} gives no heat map ({' '.join(str(error).split())}); "
                "choose a layer of convolutions, or explain by occlusion."
            ) from error

    def _strength(self, network: Scores, batch: torch.Tensor) -> torch.Tensor:
        """Root mean square of the layer's features, linear between them."""
        kept: list[torch.Tensor] = []
        network.network.get_submodule(self.layer).register_forward_hook(lambda *call: kept.append(call[2]))
        with torch.inference_mode():
            network(batch)
        strength = kept[0].float().square().mean(1, keepdim=True).sqrt()
        if strength.ndim != batch.ndim or strength[0].numel() == 1:
            raise ValueError(f"it gives numbers of shape {tuple(kept[0].shape[1:])}, which lie nowhere in the image")
        mode = "bilinear" if batch.ndim == 4 else "trilinear"
        return interpolate(strength, batch.shape[2:], mode=mode, align_corners=False)[0, 0]

    def _loss_of_probability(self, network: Scores, batch: torch.Tensor, index: int) -> torch.Tensor:
        """How much less probable the class becomes where the image is covered."""
        mask = [max(1, -(-n // MASKS_ALONG)) for n in batch.shape[2:]]
        occlusion = OcclusionSensitivity(
            network, mask, OCCLUDED_AT_ONCE, verbose=False, mode="mean_img", activate=network.probabilities
        )
        with torch.inference_mode():
            covered, _ = occlusion(batch)
            whole = network.probabilities(network(batch))[0, index]
        return whole - torch.as_tensor(covered)[0, index]


def rank_similarity(first: torch.Tensor, second: torch.Tensor) -> float:
    """Absolute Spearman correlation of two maps' places; 0 where one of them is the same everywhere."""
    a, b = first.numpy().ravel(), second.numpy().ravel()
    if a.min() == a.max() or b.min() == b.max():
        return 0.0
    return abs(float(spearmanr(a, b).statistic))


def shares_of(progress: Progress, parts: int) -> list[SubProgress]:
    """A progress divided into equal parts."""
    return [SubProgress(progress, n / parts, (n + 1) / parts) for n in range(parts)]


def _unchanged(heat: torch.Tensor) -> torch.Tensor:
    return heat


def _scaled(heat: torch.Tensor) -> torch.Tensor:
    """What speaks for the class, its largest value 1; on the CPU."""
    positive = torch.nan_to_num(heat.detach().float().cpu()).clamp(min=0)
    largest = positive.max()
    return positive / largest if largest > 0 else positive
