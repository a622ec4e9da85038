"""What a training step costs: operations and memory, counted on tensors without content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.networks import build_network

BACKWARD = 2.0
"""Operations of a backward pass in forward passes: one for the weights' gradients, one for the activations'."""

SAVED_BYTES = {"fp32": 5.3, "bf16": 3.3, "fp16": 3.3}
"""Peak bytes per number that is kept for the backward pass: the number, its gradient for a while, what kernels
work in. Measured on a CPU; ``Testing/train/test_plan_cost.py`` holds them against the process's real peak."""

PARAMETER_BYTES = 20
"""Of a weight: itself, its gradient, AdamW's two moments, its average; float32."""


LOSS_BYTES = 24
"""Peak bytes of the loss per score: logits, softmax, one-hot truth, their products and gradients. Measured as above."""


@dataclass(frozen=True)
class Cost:
    """One window through one network.

    Parameters
    ----------
    flops:
        Floating-point operations of the forward pass.
    saved:
        Numbers that are kept for the backward pass.
    scores:
        Numbers that come out, all levels together.
    parameters:
        Weights.
    """

    flops: float
    saved: int
    scores: int
    parameters: int

    def step_flops(self, batch: int) -> float:
        """Operations of a training step."""
        return (1 + BACKWARD) * self.flops * batch

    def step_bytes(self, batch: int, precision: str) -> float:
        """Peak memory of a training step, without the data."""
        window = SAVED_BYTES[precision] * self.saved + LOSS_BYTES * self.scores
        return batch * window + PARAMETER_BYTES * self.parameters


class _WithoutNumbers(TorchFunctionMode):
    """Weights without content are not drawn: for those PyTorch would import its compiler, which takes seconds."""

    DRAWN = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in self.DRAWN else func(*args, **(kwargs or {}))


def cost_of(definition: Mapping[str, Any], window: Sequence[int], channels: int) -> Cost:
    """Count one window's training.

    Parameters
    ----------
    definition:
        Of the network, see ``engine/networks``.
    window, channels:
        Of its input.

    Raises
    ------
    ModelError
        The network cannot be built.
    """
    return _cost(json.dumps(definition), tuple(window), channels)


@lru_cache(maxsize=1024)
def _cost(definition: str, window: tuple[int, ...], channels: int) -> Cost:
    network = _without_content(definition)
    weights = {weight.untyped_storage()._cdata for weight in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given twice
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
            sizes[storage._cdata] = storage.nbytes() // tensor.element_size()
        return tensor

    image = torch.empty(1, channels, *window, device="meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = network(image)
    return Cost(
        flops=float(counter.get_total_flops()),
        saved=sum(sizes.values()),
        scores=scores.numel(),
        parameters=sum(weight.numel() for weight in network.parameters()),
    )


@lru_cache(maxsize=64)
def _without_content(definition: str) -> torch.nn.Module:
    try:
        with torch.device("meta"), _WithoutNumbers():
            return build_network(json.loads(definition)).train()
    except ModelError:  # some compute a few numbers while they are built (Swin UNETR)
        return build_network(json.loads(definition)).to("meta").train()
