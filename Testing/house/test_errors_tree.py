"""The exception tree that is drawn at the top of ``engine/errors.py`` is the one of the classes."""

from __future__ import annotations

import inspect
import re

from SlicerCNNSegLib.engine import errors


def drawn_tree() -> dict[str, str]:
    """Parent of each class, as drawn: a name's column tells its depth."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():
        match = re.match(r"    ([ │├└─]*)([A-Z]\w+)(  |$)", line)
        if match is None:
            continue
        depth = len(match[1])
        path = [(column, name) for column, name in path if column < depth]
        parents[match[2]] = path[-1][1] if path else "Exception"
        path.append((depth, match[2]))
    return parents


def test_drawing_and_classes_are_the_same_tree():
    classes = {
        name: item.__base__.__name__
        for name, item in vars(errors).items()
        if inspect.isclass(item) and item.__module__ == errors.__name__
    }
    assert drawn_tree() == classes


def test_drawing_says_more_than_a_root():
    assert drawn_tree()["WeightsError"] == "ModelError"
    assert drawn_tree()["CNNSegError"] == "Exception"
