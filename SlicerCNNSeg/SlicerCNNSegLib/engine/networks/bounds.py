"""How large a network may be that a file asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.modules import module as torch_module

MAX_PARAMETERS = 300_000_000
"""Numbers in one network, 1.2 GB: more than the largest published ones have."""

MAX_MODULES = 10_000


@contextmanager
def bounded_networks(fault: Callable[[str], Exception]) -> Iterator[None]:
    """Stop the making of a network that grows beyond all use, before its weights are filled.

    torch calls back at each parameter and module that is added, in this and in other threads; those
    of other threads are not counted.

    Parameters
    ----------
    fault:
        Makes the error of what is too much.
    """
    thread, parameters, modules = threading.get_ident(), 0, 0

    def count_parameter(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal parameters
        if parameter is not None and threading.get_ident() == thread:
            parameters += parameter.numel()
            if parameters > MAX_PARAMETERS:
                raise fault(f"a network of more than {MAX_PARAMETERS} parameters")

    def count_module(module: torch.nn.Module, name: str, child: torch.nn.Module | None) -> None:
        nonlocal modules
        if threading.get_ident() == thread:
            modules += 1
            if modules > MAX_MODULES:
                raise fault(f"a network of more than {MAX_MODULES} modules")

    hooks = (
        torch_module.register_module_parameter_registration_hook(count_parameter),
        torch_module.register_module_module_registration_hook(count_module),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
