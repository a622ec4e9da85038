"""Networks by registered name, and what the planner and the trainer have to know of each.

A bundle names its network as MONAI does: ``{"_target_": "monai.networks.nets.DynUNet", ...}``. The
last part of ``_target_`` is looked up in ``registry.py``; nothing is imported because a file says so.
To add a network, see ``docs/extending.md``.
"""

from . import classification, detection, segmentation
from .facts import CLASSIFICATION, DETECTION, SEGMENTATION, NetworkFacts
from .registry import build_network, facts_of, network_names, register_network
from .window import check_window

__all__ = [
    "CLASSIFICATION",
    "DETECTION",
    "SEGMENTATION",
    "NetworkFacts",
    "build_network",
    "check_window",
    "facts_of",
    "network_names",
    "register_network",
]

segmentation.register()
classification.register()
detection.register()
