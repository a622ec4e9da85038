"""Expressions of a config (``$...``), evaluated node by node; Python's own ``eval`` is not used.

What can be written: numbers, texts, lists, tuples, sets and dicts; comprehensions; arithmetic,
comparisons, ``and``, ``or``, ``not``, ``x if c else y``; indexing and slicing; references; the names,
functions, attributes and methods that ``names.py`` lists.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CNNSegError
from .arithmetic import UNARY, combine, is_number
from .limits import (
    MAX_BITS,
    MAX_DEPTH,
    MAX_EXPRESSION,
    MAX_ITEMS,
    MAX_STRING,
    Budget,
    Place,
    check_keys,
    check_size,
    weight,
)
from .names import ATTRIBUTES, METHODS, Component, Names, allowed_of
from .outline import Outline
from .references import replace_references
from .statements import parse

WRITABLE = "values, arithmetic, comparisons, indexing, comprehensions and calls by name"
_REFUSED = {
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment (:=)",
    ast.GeneratorExp: "a generator expression",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_ITERABLES = (str, list, tuple, dict, set, range)
_GIVEN = (ast.Constant, ast.Name, ast.Attribute)
"""Nodes whose value is there already; the others make one."""

_COMPARISONS_PER_STEP = 4096
"""Of characters, within the methods of texts."""


@dataclass(frozen=True)
class Surroundings:
    """What an expression can reach.

    Parameters
    ----------
    names:
        The allowed names.
    aliases:
        Dotted names by the name that the config's import statements give them.
    refer:
        Gives the value of a reference's id.
    build:
        Makes a component from its entry and its arguments.
    budget:
        The bundle's budget of steps.
    """

    names: Names
    aliases: Mapping[str, str]
    refer: Callable[[str], Any]
    build: Callable[[Component, tuple[Any, ...], dict[str, Any], Place], Any]
    budget: Budget


def evaluate(source: str, place: Place, surroundings: Surroundings) -> Any:
    """The value of an expression (without its ``$``).

    Raises
    ------
    ConfigError
        It asks for something that is not allowed, is no valid expression, or fails.
    """
    if len(source) > MAX_EXPRESSION:
        raise place.fault(f"an expression of {len(source)} characters; at most {MAX_EXPRESSION} are read")
    marker = "reference"
    while marker in source:
        marker += "_"
    ids: dict[str, str] = {}

    def stand_in(at: str) -> str:
        name = f"{marker}{len(ids)}"
        ids[name] = at
        return name

    statement = parse(replace_references(source, stand_in), place)
    if not isinstance(statement, ast.Expr):
        raise place.refuse(f"a statement ({type(statement).__name__})", "expressions that have a value")
    return _Evaluator(place, surroundings, ids, marker).value(statement.value, {})


class _Evaluator:
    """Evaluates one expression; ``local`` is what comprehensions bind."""

    def __init__(self, place: Place, surroundings: Surroundings, ids: Mapping[str, str], marker: str) -> None:
        self._place, self._around, self._ids, self._marker = place, surroundings, ids, marker
        self._depth = 0
        self._kinds: Mapping[type[ast.AST], Callable[[Any, dict[str, Any]], Any]] = {
            ast.Constant: self._constant,
            ast.Name: self._named,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.BinOp: self._arithmetic,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._boolean,
            ast.Compare: self._compare,
            ast.IfExp: lambda n, local: self.value(n.body if self.value(n.test, local) else n.orelse, local),
            ast.Subscript: self._subscript,
            ast.Slice: self._slice,
            ast.List: lambda n, local: self._items(n.elts, local),
            ast.Tuple: lambda n, local: tuple(self._items(n.elts, local)),
            ast.Set: lambda n, local: set(self._items(n.elts, local)),
            ast.Dict: self._dict,
            ast.ListComp: lambda n, local: self._comprehend(n, local),
            ast.SetComp: lambda n, local: set(self._keyed(self._comprehend(n, local))),
            ast.DictComp: lambda n, local: dict(self._keyed(self._comprehend(n, local))),
        }

    def value(self, node: ast.AST, local: dict[str, Any]) -> Any:
        """The value of a node."""
        kind = self._kinds.get(type(node))
        if kind is None:
            raise self._place.refuse(_REFUSED.get(type(node), f"Python's {type(node).__name__}"), WRITABLE)
        self._around.budget.spend(1, self._place)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._place.fault(f"nested more than {MAX_DEPTH} deep")
        try:
            made = self._checked(kind(node, local))
            if not isinstance(node, _GIVEN):
                self._around.budget.spend(weight(made), self._place)
            return made
        except CNNSegError:
            raise
        except Exception as error:
            raise self._place.fault(f"it fails with {type(error).__name__}: {' '.join(str(error).split())}") from error
        finally:
            self._depth -= 1

    def _checked(self, value: Any) -> Any:
        """The value, unless it is larger than values may be."""
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self._place.fault(f"a whole number of more than {MAX_BITS} bits")
        if isinstance(value, str | list | tuple | set | dict) and len(value) > min(MAX_STRING, MAX_ITEMS):
            raise self._place.fault(f"{len(value)} items or characters; at most {MAX_ITEMS} are made")
        return value

    def _keyed(self, items: Any) -> Any:
        """The items, unless they are more than keys of a dict or a set may be."""
        check_keys(len(items), self._place)
        return items

    def _constant(self, node: ast.Constant, local: dict[str, Any]) -> Any:
        if not (node.value is None or isinstance(node.value, str | int | float)):
            raise self._place.refuse(f"a value of type {type(node.value).__name__}", "numbers and texts")
        if isinstance(node.value, str) and any(name in node.value for name in self._ids):
            raise self._place.refuse("a reference inside a text", "references outside of texts")
        return node.value

    def _named(self, node: ast.Name, local: dict[str, Any]) -> Any:
        if node.id in local:
            return local[node.id]
        if node.id in self._ids:
            return self._around.refer(self._ids[node.id])
        return self._look_up(self._dotted(node, local) or node.id)

    def _attribute(self, node: ast.Attribute, local: dict[str, Any]) -> Any:
        path = self._dotted(node, local)
        if path is not None:
            return self._look_up(path)
        value = self.value(node.value, local)
        if isinstance(value, Outline):
            return value
        allowed = allowed_of(ATTRIBUTES, value)
        if node.attr not in allowed:
            kind = type(value).__name__
            raise self._place.refuse(
                f"the attribute {node.attr} of a value of type {kind}", _listed(allowed, "its methods")
            )
        return getattr(value, node.attr)

    def _dotted(self, node: ast.AST, local: Mapping[str, Any]) -> str | None:
        """The dotted name that a node spells, with import aliases replaced; None when it starts from a value."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            self._refuse_hidden(node.attr)
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in local or node.id in self._ids:
            return None
        self._refuse_hidden(node.id)
        return ".".join([self._around.aliases.get(node.id, node.id), *reversed(parts)])

    def _refuse_hidden(self, name: str) -> None:
        if name.startswith("_"):
            raise self._place.refuse(f"the name {name}", "names without a leading underscore")

    def _look_up(self, path: str) -> Any:
        names = self._around.names
        if names.function(path) or names.component(path):
            raise self._place.refuse(f"the function {path} as a value", "calls of functions")
        if not names.has_value(path):
            raise self._place.refuse(path, names.near(path))
        return names.value(path)

    def _call(self, node: ast.Call, local: dict[str, Any]) -> Any:
        names, place = self._around.names, self._place
        path = self._dotted(node.func, local)
        if path is not None:
            component = names.component(path) if "." in path else None
            function = names.function(path)
            if component is None and function is None:
                raise place.refuse(path, names.near(path))
            arguments, named = self._arguments(node, local)
            if component is not None:
                return self._around.build(component, arguments, named, place)
            return function(*arguments, **named)  # type: ignore[misc]
        if not isinstance(node.func, ast.Attribute):
            what = _REFUSED.get(type(node.func), "a value")
            raise place.refuse(f"a call of {what}", "calls of functions by their names")
        value = self.value(node.func.value, local)
        if isinstance(value, Outline):
            self._arguments(node, local)
            return value
        allowed = allowed_of(METHODS, value)
        if node.func.attr not in allowed:
            kind = type(value).__name__
            raise place.refuse(
                f"the method {node.func.attr} of a value of type {kind}", _listed(allowed, "functions by name")
            )
        arguments, named = self._arguments(node, local)
        self._check_method(value, node.func.attr, arguments, named)
        result = getattr(value, node.func.attr)(*arguments, **named)
        return list(result) if type(value) is dict and node.func.attr != "get" else result

    def _check_method(self, value: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Refuse arguments that make a method's work, or what it holds, too large."""
        if isinstance(value, str):
            characters = sum(len(argument) for argument in arguments if isinstance(argument, str))
            self._around.budget.spend(len(value) * characters // _COMPARISONS_PER_STEP, self._place)
        elif not isinstance(value, list | tuple | dict):
            from .components import check_call

            check_call(f"{type(value).__name__}.{name}", getattr(value, name), arguments, named, self._place)

    def _arguments(self, node: ast.Call, local: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = tuple(self._items(node.args, local))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, local)
            named.update(self._keyed(value if keyword.arg is None else {keyword.arg: value}))
        check_keys(len(named), self._place)
        for name in named:
            self._refuse_hidden(name)
        check_size([*arguments, named], self._around.budget, self._place)
        return arguments, named

    def _items(self, nodes: list[ast.expr], local: dict[str, Any]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items += self._iterate(self.value(node.value, local))
            else:
                items.append(self.value(node, local))
        return items

    def _dict(self, node: ast.Dict, local: dict[str, Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            item = self.value(value, local)
            made.update(self._keyed(item) if key is None else {self.value(key, local): item})
            self._keyed(made)
        return made

    def _arithmetic(self, node: ast.BinOp, local: dict[str, Any]) -> Any:
        left, right = self.value(node.left, local), self.value(node.right, local)
        return combine(type(node.op), left, right, self._place, self._around.budget)

    def _unary(self, node: ast.UnaryOp, local: dict[str, Any]) -> Any:
        value = self.value(node.operand, local)
        if isinstance(node.op, ast.Not):
            return not value
        if not is_number(value):
            raise self._place.refuse(f"a sign before a {type(value).__name__}", "numbers there")
        return UNARY[type(node.op)](value)

    def _boolean(self, node: ast.BoolOp, local: dict[str, Any]) -> Any:
        value: Any = None
        for part in node.values:
            value = self.value(part, local)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare, local: dict[str, Any]) -> Any:
        left, result = self.value(node.left, local), True
        for op, other in zip(node.ops, node.comparators, strict=True):
            right = self.value(other, local)
            check_size([left, right], self._around.budget, self._place)
            if any(hasattr(type(side), "__array__") and not is_number(side) for side in (left, right)):
                raise self._place.refuse("a comparison of arrays", "comparisons of numbers, texts and lists")
            result = _COMPARISONS[type(op)](left, right)
            if not result:
                break
            left = right
        return result

    def _subscript(self, node: ast.Subscript, local: dict[str, Any]) -> Any:
        value, index = self.value(node.value, local), self.value(node.slice, local)
        if isinstance(value, Outline):
            return value
        parts = index if isinstance(index, tuple) else (index,)
        if not isinstance(value, dict) and not all(isinstance(part, slice) or is_number(part) for part in parts):
            raise self._place.refuse(f"an index of type {type(index).__name__}", "numbers and slices there")
        if not (isinstance(value, _ITERABLES) or hasattr(type(value), "__array__")):
            raise self._place.refuse(f"an item of a {type(value).__name__}", "items of lists, dicts and arrays")
        return value[index]

    def _slice(self, node: ast.Slice, local: dict[str, Any]) -> slice:
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else self.value(end, local) for end in ends))

    def _comprehend(self, node: Any, local: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for scope in self._scopes(node.generators, dict(local)):
            if isinstance(node, ast.DictComp):
                found.append((self.value(node.key, scope), self.value(node.value, scope)))
            else:
                found.append(self.value(node.elt, scope))
            self._checked(found)
        return found

    def _scopes(self, generators: list[ast.comprehension], local: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not generators:
            yield local
            return
        first, *rest = generators
        if first.is_async:
            raise self._place.refuse("async", WRITABLE)
        for item in self._iterate(self.value(first.iter, local)):
            self._bind(first.target, item, local)
            if all(self.value(condition, local) for condition in first.ifs):
                yield from self._scopes(rest, dict(local))

    def _iterate(self, value: Any) -> Iterator[Any]:
        if not isinstance(value, _ITERABLES):
            raise self._place.refuse(
                f"the items of a {type(value).__name__}", "items of lists, texts, dicts and ranges"
            )
        for item in value:
            self._around.budget.spend(1, self._place)
            yield item

    def _bind(self, target: ast.expr, item: Any, local: dict[str, Any]) -> None:
        if isinstance(target, ast.Name):
            if target.id != "_":
                self._refuse_hidden(target.id)
            local[target.id] = item
        elif isinstance(target, ast.Tuple | ast.List):
            for part, value in zip(target.elts, self._iterate(item), strict=True):
                self._bind(part, value, local)
        else:
            raise self._place.refuse("an assignment to an item or attribute", "plain names in a comprehension")


def _listed(names: frozenset[str], otherwise: str) -> str:
    return ", ".join(sorted(names)) or otherwise
