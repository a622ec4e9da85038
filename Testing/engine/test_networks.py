"""The registry of networks."""

import pytest
import torch
from tiny_model import RANDOM_UNET

from SlicerCNNSegLib.engine.errors import ModelError
from SlicerCNNSegLib.engine.networks import build_network, network_names, register_network


def test_a_bundles_definition_is_built():
    network = build_network(RANDOM_UNET)
    assert network(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"Unknown network 'system': expected one of AttentionUnet, .*DynUNet"):
        build_network({"_target_": "os.system", "command": "true"})


def test_wrong_arguments_are_told():
    with pytest.raises(ModelError, match=r"UNet cannot be built from"):
        build_network({"_target_": "UNet", "spatial_dims": 3})


def test_a_taken_name_is_refused():
    assert "DynUNet" in network_names()
    with pytest.raises(ModelError, match=r"'DynUNet' is registered already"):
        register_network("DynUNet", torch.nn.Identity)
