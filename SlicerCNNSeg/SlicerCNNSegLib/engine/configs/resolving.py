"""A bundle's config, resolved: values by id, with references, expressions and components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .expressions import Surroundings, evaluate
from .limits import MAX_REFERENCES_DEPTH, Budget, Place, check_size
from .names import ROOTS, Component, Names
from .reading import read_config
from .references import children, expand, find, is_expression, normal_id, reference_of
from .statements import imported_names, is_import, parse

TARGET, DISABLED, MODE = "_target_", "_disabled_", "_mode_"
Make = Callable[[Component, tuple[Any, ...], dict[str, Any]], Any]
_NO_ARGUMENTS = (TARGET, DISABLED, MODE, "_requires_", "_desc_")


class ConfigReader:
    """Gives the values of a config, each made once and when it is asked for.

    Parameters
    ----------
    config:
        The config as plain data.
    bundle:
        The bundle's name, for messages.
    names:
        What the config may name.
    given:
        Ready values by id, in place of what the config has there: ``{"device": torch.device("cpu")}``.
    make:
        Makes components in place of ``components.build``; ``outline.outlined`` only notes what was asked for.
    """

    def __init__(
        self,
        config: dict[str, Any],
        bundle: str,
        names: Names | None = None,
        given: Mapping[str, Any] | None = None,
        make: Make | None = None,
    ) -> None:
        self._make = make
        self._bundle, self._names = bundle, names or Names()
        self._budget = Budget()
        check_size(config, self._budget, Place(bundle))
        self._config = expand(config, bundle, self._budget)
        self._resolved: dict[str, Any] = {normal_id(at): value for at, value in (given or {}).items()}
        self._waiting: list[str] = []
        self._surroundings = Surroundings(
            self._names, {**ROOTS, **self._imports()}, self._get, self._build, self._budget
        )

    @classmethod
    def read(cls, path: Path | str, bundle: str = "", **options: Any) -> ConfigReader:
        """From a file; see ``reading.read_config``. ``options`` are the constructor's."""
        bundle = bundle or Path(path).absolute().parent.parent.name
        return cls(read_config(path, bundle), bundle, **options)

    def __contains__(self, at: str) -> bool:
        """Whether something stands at an id, or was given."""
        try:
            find(self._config, normal_id(at), Place(self._bundle))
        except ConfigError:
            return normal_id(at) in self._resolved
        return True

    def raw(self, at: str) -> Any:
        """What is written at an id, macros replaced and nothing resolved.

        Raises
        ------
        ConfigError
            Nothing stands there.
        """
        return find(self._config, normal_id(at), self._place(normal_id(at)))

    def get(self, at: str) -> Any:
        """The value at an id (``preprocessing``, ``network_def::in_channels``).

        A disabled component is None, and is left out of the list or dict that it stands in.

        Raises
        ------
        ConfigError
            It, or something that it refers to, is not there, is not allowed or is broken; the message
            names the id and the reason.
        """
        try:
            return self._get(normal_id(at))
        except RecursionError as error:
            raise self._place(normal_id(at)).fault("references nested too deep") from error
        finally:
            self._waiting.clear()

    def _get(self, at: str) -> Any:
        if at in self._resolved:
            return self._resolved[at]
        return self._get_written(at, find(self._config, at, self._place(at)))

    def _get_written(self, at: str, value: Any) -> Any:
        """The value at an id, where ``value`` is written."""
        if at in self._resolved:
            return self._resolved[at]
        place = self._place(at, value)
        if at in self._waiting:
            raise place.fault(f"references that go round: {' -> '.join([*self._waiting[-5:], at])}")
        if len(self._waiting) >= MAX_REFERENCES_DEPTH:
            raise place.fault(f"references nested more than {MAX_REFERENCES_DEPTH} deep")
        self._waiting.append(at)
        self._budget.spend(1, place)
        result = self._resolve(at, value)
        self._waiting.pop()
        check_size(result, self._budget, place)
        self._resolved[at] = result
        return result

    def _resolve(self, at: str, value: Any) -> Any:
        if isinstance(value, str):
            reference = reference_of(value)
            if reference is not None:
                return self._get(reference)
            return self._evaluate(at, value) if is_expression(value) else value
        if isinstance(value, dict):
            if TARGET in value:
                return self._instantiate(at, value)
            parts = {key: (item, self._get_written(sub_id, item)) for key, sub_id, item in children(at, value)}
            return {key: made for key, (item, made) in parts.items() if not _left_out(item, made)}
        if isinstance(value, list):
            made = [(item, self._get_written(sub_id, item)) for _, sub_id, item in children(at, value)]
            return [result for item, result in made if not _left_out(item, result)]
        return value

    def _evaluate(self, at: str, value: str) -> Any:
        place = self._place(at, value)
        if is_import(value, place):
            raise place.refuse("an import statement as a value", "import statements that give names to expressions")
        return evaluate(value[1:], place, self._surroundings)

    def _instantiate(self, at: str, value: dict[str, Any]) -> Any:
        place = self._place(at, value)
        if DISABLED in value and _is_true(self._get_written(f"{at}::{DISABLED}", value[DISABLED])):
            return None
        target = value[TARGET]
        if not isinstance(target, str) or is_expression(target) or target.startswith("@"):
            raise place.refuse(f"the computed {TARGET} {target}", "names of components")
        mode = value.get(MODE, "default")
        if mode != "default":
            raise place.refuse(f"{MODE} {mode}", f"components of {MODE} default")
        arguments = {}
        component, function = self._names.component(target), self._names.function(target) if "." in target else None
        if component is None and function is None:
            raise place.refuse(target, self._names.near(target))
        for key, sub_id, item in children(at, value):
            if key.startswith("_") and key not in _NO_ARGUMENTS:
                raise place.refuse(f"the key {key}", f"{', '.join(_NO_ARGUMENTS)} with a leading underscore")
            if key in (TARGET, DISABLED, MODE, "_desc_"):
                continue
            unread = component is not None and component.unread
            arguments[key] = item if unread else self._get_written(sub_id, item)
        arguments.pop("_requires_", None)
        if component is not None:
            return self._build(component, (), arguments, place)
        try:
            check_size(arguments, self._budget, place)
            return function(**arguments)  # type: ignore[misc]
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise place.fault(f"{target} fails with {type(error).__name__}: {' '.join(str(error).split())}") from error

    def _build(self, component: Component, arguments: tuple[Any, ...], named: dict[str, Any], place: Place) -> Any:
        if self._make is not None:
            return self._make(component, arguments, named)
        from .components import build

        return build(component, arguments, named, place, self._budget)

    def _place(self, at: str, value: Any = "") -> Place:
        if isinstance(value, dict):
            value = value.get(TARGET, "")
        return Place(self._bundle, at, value if isinstance(value, str) else "")

    def _imports(self) -> dict[str, str]:
        """Dotted names by the name that an import statement of the config gives them; nothing is imported."""
        found: dict[str, str] = {}
        pending: list[Any] = [self._config]
        while pending:
            value = pending.pop()
            if isinstance(value, dict | list):
                pending += reversed(list(value.values() if isinstance(value, dict) else value))
            elif isinstance(value, str) and is_import(value, Place(self._bundle, "imports", value)):
                found |= imported_names(parse(value[1:], Place(self._bundle)))
        return found


def _left_out(item: Any, made: Any) -> bool:
    """Whether a child is a component that was not made, which MONAI leaves out."""
    return made is None and isinstance(item, dict) and TARGET in item


def _is_true(value: Any) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)
