"""Statements of a config: an expression, or an import, which only gives names."""

from __future__ import annotations

import ast

from .limits import MAX_EXPRESSION, Place


def parse(source: str, place: Place) -> ast.stmt:
    """The one statement that a source holds.

    Raises
    ------
    ConfigError
        It is no Python, or more than one statement.
    """
    try:
        statements = ast.parse(source.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise place.fault(f"no valid expression ({error})") from error
    if len(statements) != 1:
        raise place.fault(f"expected one expression, got {len(statements)}")
    return statements[0]


def is_import(value: str, place: Place) -> bool:
    """Whether a text of a config is an import statement (``$import ...``)."""
    words = value[:MAX_EXPRESSION].split(maxsplit=1) or [""]
    if words[0] not in ("$", "$import", "$from") or "import" not in value:
        return False
    if len(value) > MAX_EXPRESSION:
        raise place.fault(f"an import statement of {len(value)} characters; at most {MAX_EXPRESSION} are read")
    return isinstance(parse(value[1:], place), ast.Import | ast.ImportFrom)


def imported_names(statement: ast.stmt) -> dict[str, str]:
    """Dotted names by the name that an import statement gives them; nothing is imported."""
    if isinstance(statement, ast.ImportFrom):
        return {name.asname or name.name: f"{statement.module or ''}.{name.name}" for name in statement.names}
    if isinstance(statement, ast.Import):
        return {
            name.asname or name.name.partition(".")[0]: name.name if name.asname else name.name.partition(".")[0]
            for name in statement.names
        }
    return {}
