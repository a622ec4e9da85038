"""A config looked through without torch: what it asks for is noted, and nothing is made.

With ``LightNames`` and ``outlined`` a ``ConfigReader`` refuses what it always refuses by name, and gives an
``Outline`` wherever it would give a component, a tensor or a device. What depends on arguments or on values of
torch is left to the reading that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .names import Component, Names

HEAVY = ("torch.", "monai.")


@dataclass(frozen=True, eq=False)
class Outline:
    """Stands for a component (its name and its arguments), or for a value that only torch could give.

    Its attributes, items and the results of its methods are itself.
    """

    name: str
    arguments: Mapping[Any, Any] = field(default_factory=dict)


class LightNames(Names):
    """The same names, with outlines for what is torch's."""

    def function(self, path: str) -> Callable[..., Any] | None:
        """The function; for torch's one that gives an outline."""
        found = super().function(path)
        if found is None or not path.startswith(HEAVY):
            return found
        return lambda *arguments, **named: False if path == "torch.cuda.is_available" else Outline(path)

    def value(self, path: str) -> Any:
        """The value; for torch's an outline."""
        return Outline(path) if path.startswith("torch.") else super().value(path)

    def is_below(self, component: Component, module: str) -> bool:
        """Whether the module is near enough to be right; MONAI is not asked."""
        return f"{module}.".startswith(f"{component.module}.") or f"{component.module}.".startswith(f"{module}.")


def outlined(component: Component, arguments: tuple[Any, ...], named: dict[str, Any]) -> Outline:
    """The outline of a component; arguments without a name go by their number."""
    return Outline(component.name, {**dict(enumerate(arguments)), **named})
